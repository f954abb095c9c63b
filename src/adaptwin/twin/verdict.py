"""Verdicts: whether a server, and each of its adapters, is served as it should be.

The verdicts, from the worst to the best:

- starved: over a tenth of the tokens that count were rejected, or belong to requests that are not being served. Tokens
  count from a request's 60th second on, because a shorter wait may be that of a queue that comes and goes; those of a
  rejected request count at once, because it will never be served. A request is being served if it has finished or holds
  a seat. In a drained window, where all requests finish in the end, it is being served if it had its first token by the
  last arrival. A tenth is the paper's threshold. Over all requests of a server, the rule is the paper's, but for the
  requests that the end of the window cuts off while they are being answered; `Run.starved` counts those as unserved.
- backlogged: the queue of requests that have waited over 10 s for their first token, which a burst that has just
  arrived does not lengthen, grew from the middle of the window to its end and holds over 10 s of traffic; or over half
  of the finished requests waited over 10 s for their first token.
- slow: an adapter misses its TTFT or ITL objective.
- unknown: none of these, but the window cannot show that the server is ok: it is shorter than 120 s, so that not even
  half of it is older than 60 s; or requests are due, but none has finished, so that the server is still filling up.
- ok: none of these. A run in which nothing arrives is ok.

Ok has a grade: *sluggish* is what is ok, but lets over one in a hundred requests without a TTFT objective wait over 2 s
for the first token. People notice such a wait. It is no verdict, because without an objective only the user can say
whether it is bad: the search, a verified plan and exit codes make no difference between sluggish and ok.

Few requests say little about a queue. So an adapter with fewer than five requests that count is backlogged only if the
server is, too. They do say whether they were served: an adapter is starved if its only request was not, and ok if it
was.

Server and adapters agree. The rules for starved and sluggish compare sums over adapters, so if the server breaks one,
some adapter does. If the server is backlogged, the adapters that made it so are. The server is no better than its best
adapter; it may be better than its worst, whose traffic may be a small part of its own. `unknown` is a verdict on the
window, and goes for the server and all adapters alike.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.errors import SpecError
from adaptwin.twin.run import VERDICTS, Verdict, worst_of
from adaptwin.twin.scenario import RequestEnds, Window
from adaptwin.twin.statistics import AdapterTotals, Totals, sum_up
from adaptwin.workload.drawing.requests import NANOSECONDS, Requests
from adaptwin.workload.workload import Workload

STARVED_BELOW = 0.9  # the paper's threshold: share of the offered tokens that must be served
GRACE = 60.0  # seconds: unfinished requests younger than this at the end of the window do not count against an adapter
PATIENCE = 10.0  # seconds: limit on the wait for the first token, and on the traffic that an overdue queue may hold
MIN_REQUESTS = 5  # fewer requests say too little about a queue
LATE_SHARE = 0.01  # share of requests that may miss a TTFT objective, which is one for the 99th percentile
LONG_WAIT = 2.0  # seconds to the first token that people notice, for adapters without an objective
SHORTEST_WINDOW = 2.0 * GRACE  # seconds after warm-up: in a shorter window, most of the traffic is too young to count


def require_long_enough(workload: Workload) -> None:
    """Raise `SpecError` if the window of the workload is too short to show that a server is ok."""
    if workload.duration < SHORTEST_WINDOW:
        what = f"{workload.duration:g} seconds are too few to show that a server keeps up: at least {SHORTEST_WINDOW:g}"
        raise SpecError(what, "duration")


class Judgement(NamedTuple):
    """The verdicts on a run, and the sums that they are based on."""

    server: Verdict
    adapters: list[Verdict]
    is_sluggish: bool  # whether the server is
    sluggish_adapters: NDArray[np.bool_]
    totals: Totals
    by_adapter: AdapterTotals

    @property
    def worst(self) -> Verdict:
        """The worst verdict among server and adapters."""
        return worst_of({self.server, *self.adapters})


def judge(
    workload: Workload, requests: Requests, window: Window, ends: RequestEnds, *, request_latency: float
) -> Judgement:
    """Judge the server and every adapter by the rules of this module.

    Args:
        workload: The adapters, with their objectives.
        requests: The requests of the run.
        window: The time of the run, and its warm-up.
        ends: What became of each request.
        request_latency: Seconds that API server and client add to the times in `ends`.
    """
    objectives = np.array([adapter.slo_ttft or np.inf for adapter in workload.adapters])
    is_free = np.isinf(objectives)
    totals, sums = sum_up(
        requests,
        window,
        ends,
        request_latency=request_latency,
        grace=GRACE,
        patience=PATIENCE,
        objectives=objectives - request_latency,
        long_waits=np.where(is_free, LONG_WAIT - request_latency, np.inf),
    )
    seconds = max(1, window.end - window.warmup) / NANOSECONDS
    is_unknown = not _shows_enough(sums, seconds)
    server = _server_verdict(sums, seconds, "unknown" if is_unknown else "ok")
    slo_itl = np.array([adapter.slo_itl or np.inf for adapter in workload.adapters])
    adapters: list[Verdict] = np.select(
        [
            _is_starved(sums),
            _is_backlogged(sums, seconds, server),
            _is_slow(sums, slo_itl),
            np.full_like(is_free, is_unknown),
        ],
        VERDICTS[:-1],
        VERDICTS[-1],
    ).tolist()
    return Judgement(
        server=_no_better(server, adapters, sums),
        adapters=adapters,
        is_sluggish=bool(sums.sluggish[is_free].sum() > LATE_SHARE * sums.finished[is_free].sum()),
        sluggish_adapters=sums.sluggish > LATE_SHARE * sums.finished,
        totals=totals,
        by_adapter=sums,
    )


def _shows_enough(sums: AdapterTotals, seconds: float) -> bool:
    """Whether a window of this length can show that a server is ok."""
    if not sums.arrivals.any() and not sums.rejected.any():
        return True
    return seconds >= SHORTEST_WINDOW and bool(sums.finished.any() or not sums.counted.any())


def _server_verdict(sums: AdapterTotals, seconds: float, otherwise: Verdict) -> Verdict:
    whole = AdapterTotals(*(column.sum(keepdims=True) for column in sums))
    if _is_starved(whole).all():
        return "starved"
    if whole.arrivals.sum() >= MIN_REQUESTS and (_is_impatient(whole) | _has_grown(whole, seconds)).all():
        return "backlogged"
    return otherwise


def _is_starved(sums: AdapterTotals) -> NDArray[np.bool_]:
    return sums.counted_tokens - sums.unserved_tokens < STARVED_BELOW * sums.counted_tokens


def _is_backlogged(sums: AdapterTotals, seconds: float, server: Verdict) -> NDArray[np.bool_]:
    tells = sums.counted >= MIN_REQUESTS
    by_itself = tells & (_is_impatient(sums) | _has_grown(sums, seconds))
    if server != "backlogged":
        return by_itself
    return by_itself | _is_impatient(sums) | (sums.overdue_at_end > sums.overdue_at_half)


def _is_impatient(sums: AdapterTotals) -> NDArray[np.bool_]:
    return sums.impatient > sums.finished / 2


def _has_grown(sums: AdapterTotals, seconds: float) -> NDArray[np.bool_]:
    """Whether the queues of overdue requests grew, and hold several requests and over `PATIENCE` seconds of traffic."""
    overdue = sums.overdue_at_end
    return (overdue >= MIN_REQUESTS) & (overdue > sums.overdue_at_half) & (overdue > PATIENCE * sums.arrivals / seconds)


def _is_slow(sums: AdapterTotals, slo_itl: NDArray[np.float64]) -> NDArray[np.bool_]:
    mean_gap = sums.gap_sum / np.maximum(1, sums.gap_count)
    return (sums.late > LATE_SHARE * sums.finished) | (mean_gap > slo_itl * NANOSECONDS)


def _no_better(server: Verdict, adapters: list[Verdict], sums: AdapterTotals) -> Verdict:
    """Return the verdict on the server, which is overloaded if all adapters with requests are."""
    has_requests = (sums.arrivals + sums.rejected > 0).tolist()
    theirs = {verdict for verdict, asks in zip(adapters, has_requests, strict=True) if asks}
    if not theirs or not theirs <= {"starved", "backlogged"}:
        return server
    return worst_of({server, "backlogged" if "backlogged" in theirs else "starved"})
