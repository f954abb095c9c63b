"""Statistics: the sums, histograms and percentiles that a client would report of a run."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import borrowing, inlined
from adaptwin.twin.quantiles import grouped_quantiles
from adaptwin.twin.run import Latency
from adaptwin.twin.scenario import RequestEnds, Window
from adaptwin.twin.token_gaps import GAP_BINS, bin_of, gap_value
from adaptwin.twin.wide_sums import WIDE, add_product, as_floats, as_integer
from adaptwin.workload.drawing.requests import NANOSECONDS, Requests

_GAP_VALUES = np.array([gap_value(number) for number in range(GAP_BINS)]) / NANOSECONDS


class Totals(NamedTuple):
    """Sums over the requests of a run. All but `served` leave out the warm-up."""

    served: int  # requests that finished, including those that finished during the warm-up
    finished: int
    finished_tokens: int
    arrivals: int
    offered_tokens: int
    ttft: NDArray[np.int64]  # histogram over finished requests, with the bins of `gap_bin`
    tpot: NDArray[np.int64]
    e2e: NDArray[np.int64]
    ttft_sum: int  # nanoseconds
    tpot_sum: int
    tpot_count: int
    e2e_sum: int


class AdapterTotals(NamedTuple):
    """Sums over the requests of each adapter. Each array has the shape (adapters,)."""

    arrivals: NDArray[np.int64]
    finished: NDArray[np.int64]
    rejected: NDArray[np.int64]
    offered_tokens: NDArray[np.int64]
    finished_tokens: NDArray[np.int64]
    gap_sum: NDArray[np.float64]  # nanoseconds
    gap_count: NDArray[np.int64]
    counted: NDArray[np.int64]  # requests that were rejected, or are old enough to count for the verdict
    counted_tokens: NDArray[np.int64]
    unserved_tokens: NDArray[np.int64]  # tokens of counted requests that were rejected or are not being served
    waiting_at_end: NDArray[np.int64]  # requests without a first token at the end
    overdue_at_half: NDArray[np.int64]  # requests that, halfway through, had waited too long for their first token
    impatient: NDArray[np.int64]  # finished requests that waited too long for their first token
    late: NDArray[np.int64]  # finished requests that missed their adapter's TTFT objective
    sluggish: NDArray[np.int64]  # finished requests that waited long enough to be noticed, and had no objective
    overdue_at_end: NDArray[np.int64]  # requests that, at the end, had waited too long for their first token
    due_tokens: NDArray[np.int64]  # tokens of requests that have finished or are counted
    wait_p50: NDArray[np.float64]  # nanoseconds to the first token, over finished requests; NaN if there are none
    wait_p99: NDArray[np.float64]


_ADAPTER_SUMS = np.dtype(
    [(name, WIDE if name == "gap_sum" else np.int64) for name in AdapterTotals._fields if not name.startswith("wait_")]
)
_WHOLE_SUMS = np.dtype(
    [
        ("served", np.int64),
        ("finished", np.int64),
        ("tpot_count", np.int64),
        ("ttft_sum", WIDE),
        ("tpot_sum", WIDE),
        ("e2e_sum", WIDE),
    ]
)


def sum_up(
    requests: Requests,
    window: Window,
    ends: RequestEnds,
    *,
    request_latency: float,
    grace: float,
    patience: float,
    objectives: NDArray[np.float64],
    long_waits: NDArray[np.float64],
) -> tuple[Totals, AdapterTotals]:
    """Sum up a run, as a whole and by adapter.

    Args:
        requests: The requests of the run.
        window: The time of the run, and its warm-up.
        ends: What became of each request.
        request_latency: Seconds that the totals add to the TTFT and the end-to-end latency of a request.
        grace: Age in seconds; requests that are younger at the end of the window are not `counted`.
        patience: Seconds; a request that waits longer for its first token is `overdue` meanwhile, and `impatient` once
            it has finished.
        objectives: TTFT objective of each adapter in seconds, without `request_latency`; infinite where there is none.
        long_waits: Wait in seconds from which a request of each adapter counts as `sluggish`; infinite for an adapter
            with an objective.
    """
    latency_, grace_, patience_ = (round(seconds * NANOSECONDS) for seconds in (request_latency, grace, patience))
    sums = _no_sums(len(requests.arrival), len(objectives))
    limits = _WaitLimits(grace_, patience_, objectives * NANOSECONDS, long_waits * NANOSECONDS)
    _sum_up(sums, requests, ends, window, latency_, limits)
    counts = {name: int(sums.whole[0][name]) for name in ("served", "finished", "tpot_count")}
    times = {name: as_integer(*sums.whole[0][name].item()) for name in ("ttft_sum", "tpot_sum", "e2e_sum")}
    columns = {name: np.ascontiguousarray(sums.by_adapter[name]) for name in _ADAPTER_SUMS.names or ()}
    columns["gap_sum"] = as_floats(columns["gap_sum"])
    waits, adapter_of_wait = sums.waits[: counts["finished"]], sums.adapter_of_wait[: counts["finished"]]
    p50, p99 = grouped_quantiles(waits, adapter_of_wait, columns["finished"], (0.5, 0.99))
    by_adapter = AdapterTotals(**columns, wait_p50=p50, wait_p99=p99)
    totals = Totals(
        finished_tokens=int(by_adapter.finished_tokens.sum()),
        arrivals=int(by_adapter.arrivals.sum()),
        offered_tokens=int(by_adapter.offered_tokens.sum()),
        ttft=sums.ttft,
        tpot=sums.tpot,
        e2e=sums.e2e,
        **counts,
        **times,
    )
    return totals, by_adapter


def latency(histogram: NDArray[np.int64], total: int, count: int) -> Latency:
    """Mean and percentiles in seconds, of a histogram of `count` values with the sum `total` in nanoseconds."""
    if count == 0:
        return Latency()
    cumulative = np.cumsum(histogram)
    at = np.searchsorted(cumulative, np.ceil(np.array([0.5, 0.9, 0.99]) * cumulative[-1]))
    p50, p90, p99 = _GAP_VALUES[at]
    return Latency(mean=total / count / NANOSECONDS, p50=float(p50), p90=float(p90), p99=float(p99))


class _Sums(NamedTuple):
    """What one pass over the requests fills in: sums by adapter, sums of the whole run, histograms and waits."""

    by_adapter: NDArray[np.void]  # (adapters,), rows of `_ADAPTER_SUMS`
    whole: NDArray[np.void]  # (1,), a row of `_WHOLE_SUMS`
    ttft: NDArray[np.int64]
    tpot: NDArray[np.int64]
    e2e: NDArray[np.int64]
    waits: NDArray[np.int64]  # nanoseconds to the first token, of finished requests
    adapter_of_wait: NDArray[np.int32]


class _WaitLimits(NamedTuple):
    """Limits in nanoseconds, as `sum_up` describes them; the last two have one entry per adapter."""

    grace: int
    patience: int
    objectives: NDArray[np.float64]
    long_waits: NDArray[np.float64]


def _no_sums(requests: int, adapters: int) -> _Sums:
    return _Sums(
        by_adapter=np.zeros(adapters, _ADAPTER_SUMS),
        whole=np.zeros(1, _WHOLE_SUMS),
        ttft=np.zeros(GAP_BINS, np.int64),
        tpot=np.zeros(GAP_BINS, np.int64),
        e2e=np.zeros(GAP_BINS, np.int64),
        waits=np.empty(requests, np.int64),
        adapter_of_wait=np.empty(requests, np.int32),
    )


@borrowing
def _sum_up(sums, requests, outcome, window, request_latency, limits):
    """Fill the sums in one pass over the requests; times in nanoseconds.

    No sum passes 2^63: the parts of a wide sum are at most `MOST_REQUESTS` times 2^32, and so are sums of tokens.
    """
    half, end, patience = (window.warmup + window.end) // 2, window.end, limits.patience
    for r in range(len(requests.arrival)):
        a = requests.adapter[r]
        row = sums.by_adapter[a]
        arrival, first, finish = requests.arrival[r], outcome.first_token[r], outcome.finish[r]
        tokens, counts = requests.input[r] + requests.output[r], arrival >= window.warmup
        if outcome.rejected[r]:
            row.rejected += 1
            if counts:
                _count_for_verdict(row, tokens, False)
            continue
        waits_at_end = first < 0 or first > end
        if counts:
            row.arrivals += 1
            row.offered_tokens += requests.input[r] + requests.asked[r]
            if arrival <= end - limits.grace:
                is_served = not waits_at_end if window.drain else finish >= 0 or outcome.running[r]
                _count_for_verdict(row, tokens, is_served)
            elif finish >= 0:
                row.due_tokens += tokens
        row.waiting_at_end += first < 0
        row.overdue_at_half += arrival <= half - patience and (first < 0 or first > half)
        row.overdue_at_end += arrival <= end - patience and waits_at_end
        sums.whole[0].served += finish >= 0
        if finish > window.warmup:
            wait = first - arrival
            row.impatient += wait > patience
            row.late += wait > limits.objectives[a]
            row.sluggish += wait > limits.long_waits[a]
            _count_finished(sums, row, requests, r, wait, finish - first, request_latency)


@inlined
def _count_for_verdict(row, tokens, is_served):
    """Count a request that arrived after the warm-up, and was rejected or is old enough to be judged."""
    row.counted += 1
    row.counted_tokens += tokens
    row.due_tokens += tokens
    if not is_served:
        row.unserved_tokens += tokens


@inlined
def _count_finished(sums, row, requests, r, wait, answering, request_latency):
    """Count a request that finished after the warm-up."""
    whole, gaps = sums.whole[0], requests.output[r] - 1
    sums.waits[whole.finished] = wait
    sums.adapter_of_wait[whole.finished] = requests.adapter[r]
    whole.finished += 1
    row.finished += 1
    row.finished_tokens += requests.input[r] + requests.output[r]
    add_product(row.gap_sum, 1, answering)
    row.gap_count += gaps
    sums.ttft[bin_of(wait + request_latency)] += 1
    add_product(whole.ttft_sum, 1, wait + request_latency)
    sums.e2e[bin_of(wait + answering + request_latency)] += 1
    add_product(whole.e2e_sum, 1, wait + answering + request_latency)
    if gaps > 0:
        per_token = answering // gaps
        sums.tpot[bin_of(per_token)] += 1
        add_product(whole.tpot_sum, 1, per_token)
        whole.tpot_count += 1
