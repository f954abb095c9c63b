"""Verdicts: whether a server, and each of its adapters, is served as it should be."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.profile.profile import Profile
from adaptwin.twin.run import Verdict, worst_of
from adaptwin.twin.scenario import Outcome, Scenario
from adaptwin.twin.statistics import AdapterTotals, Totals, sum_up
from adaptwin.workload.drawing.requests import NANOSECONDS
from adaptwin.workload.workload import Workload

STARVED_BELOW = 0.9  # the paper's threshold: share of the offered tokens that must be served
GRACE = 60.0  # seconds: unfinished requests younger than this at the end of the window do not count against an adapter
PATIENCE = 10.0  # seconds: limit on the wait for the first token, and on the traffic that an overdue queue may hold
MIN_REQUESTS = 5  # fewer requests say too little, unless none of them was served
LATE_SHARE = 0.01  # share of requests that may miss a TTFT objective, which is one for the 99th percentile


class Judgement(NamedTuple):
    """The verdicts on a run, and the sums that they are based on."""

    server: Verdict
    adapters: list[Verdict]
    totals: Totals
    by_adapter: AdapterTotals

    @property
    def worst(self) -> Verdict:
        """The worst verdict among server and adapters."""
        return worst_of({self.server, *self.adapters})


def judge(profile: Profile, workload: Workload, scenario: Scenario, outcome: Outcome) -> Judgement:
    """Judge the server and every adapter.

    - starved: an adapter is starved if, at the end of the window, over a tenth of the tokens of its requests older than
      60 s belong to requests that neither finished nor hold a seat. The server is starved if it served under 0.9 of the
      offered tokens, as in the paper (`Run.starved`), not counting unfinished requests of the last 60 s;
    - backlogged: the queue of requests that have waited over 10 s for their first token, which a burst that has just
      arrived does not lengthen, grew from the middle of the window to its end and holds over 10 s of traffic; or over
      half of the finished requests waited over 10 s for their first token;
    - slow: an adapter misses its TTFT or ITL objective;
    - ok: none of these, and always without arrivals.

    An adapter with fewer than five requests older than 60 s is neither starved nor backlogged, unless it has at least
    two and none of them is served.
    """
    objectives = np.array([a.slo_ttft - profile.request_latency if a.slo_ttft else np.inf for a in workload.adapters])
    sums, by_adapter = sum_up(
        scenario,
        outcome,
        request_latency=profile.request_latency,
        grace=GRACE,
        patience=PATIENCE,
        objectives=objectives,
    )
    seconds = max(1, scenario.window.end - scenario.window.warmup) / NANOSECONDS
    return Judgement(
        server=_server_verdict(scenario, outcome, sums, by_adapter, seconds),
        adapters=_adapter_verdicts(workload, by_adapter, seconds),
        totals=sums,
        by_adapter=by_adapter,
    )


def _server_verdict(
    scenario: Scenario, outcome: Outcome, sums: Totals, by_adapter: AdapterTotals, seconds: float
) -> Verdict:
    end = outcome.end if scenario.window.drain else scenario.window.end
    served_seconds = max(1, end - scenario.window.warmup) / NANOSECONDS
    due = int(by_adapter.due_tokens.sum())
    if sums.finished_tokens / served_seconds < STARVED_BELOW * due / seconds:
        return "starved"
    overdue = by_adapter.overdue_at_half.sum(keepdims=True), by_adapter.overdue_at_end.sum(keepdims=True)
    impatient = by_adapter.impatient.sum() > sums.finished / 2
    grew = _grew(*overdue, np.array([sums.arrivals / seconds]))
    return "backlogged" if impatient or grew.all() else "ok"


def _adapter_verdicts(workload: Workload, sums: AdapterTotals, seconds: float) -> list[Verdict]:
    tells = (sums.counted >= MIN_REQUESTS) | ((sums.counted > 1) & (sums.unserved == sums.counted))
    starved = tells & (sums.counted_tokens - sums.unserved_tokens < STARVED_BELOW * sums.counted_tokens)
    impatient = sums.impatient > sums.finished / 2
    grew = _grew(sums.overdue_at_half, sums.overdue_at_end, sums.arrivals / seconds)
    slo_itl = np.array([adapter.slo_itl or np.inf for adapter in workload.adapters])
    late = sums.late > LATE_SHARE * sums.finished
    slow = late | (sums.gap_sum / np.maximum(1, sums.gap_count) > slo_itl * NANOSECONDS)
    verdicts: list[Verdict] = np.select(
        [starved, tells & (impatient | grew), slow], ["starved", "backlogged", "slow"], "ok"
    ).tolist()
    return verdicts


def _grew(
    overdue_at_half: NDArray[np.int64], overdue_at_end: NDArray[np.int64], rate: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether the queues of overdue requests grew, and hold several requests and over `PATIENCE` seconds of traffic."""
    return (overdue_at_end >= MIN_REQUESTS) & (overdue_at_end > overdue_at_half) & (overdue_at_end > PATIENCE * rate)
