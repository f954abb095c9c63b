"""Statistics: from what happened to what a client would report - sums, histograms, percentiles."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import compiled
from adaptwin.twin.quantiles import grouped_quantiles
from adaptwin.twin.run import Latency
from adaptwin.twin.scenario import Outcome, Scenario
from adaptwin.twin.token_gaps import GAP_BINS, bin_of, gap_value
from adaptwin.workload.drawing.requests import NANOSECONDS

_GAP_VALUES = np.array([gap_value(number) for number in range(GAP_BINS)]) / NANOSECONDS


class Totals(NamedTuple):
    """Sums over the requests of a run that lie inside its window."""

    served: int  # requests that finished, those that did so during the warm-up among them
    finished: int
    finished_tokens: int
    arrivals: int
    offered_tokens: int
    ttft: NDArray[np.int64]  # histograms over finished requests, by `gap_bin`
    tpot: NDArray[np.int64]
    e2e: NDArray[np.int64]
    ttft_sum: float  # nanoseconds
    tpot_sum: float
    tpot_count: int
    e2e_sum: float


class AdapterTotals(NamedTuple):
    """The same per adapter, each of shape (adapters,)."""

    arrivals: NDArray[np.int64]
    finished: NDArray[np.int64]
    rejected: NDArray[np.int64]
    offered_tokens: NDArray[np.int64]
    finished_tokens: NDArray[np.int64]
    gap_sum: NDArray[np.int64]  # nanoseconds
    gap_count: NDArray[np.int64]
    counted: NDArray[np.int64]  # requests old enough to count for the verdict
    counted_tokens: NDArray[np.int64]
    unserved: NDArray[np.int64]  # of these, requests that hold no seat and have not finished
    unserved_tokens: NDArray[np.int64]
    waiting_at_end: NDArray[np.int64]
    overdue_at_half: NDArray[np.int64]  # of those waiting then, that waited longer than was thought bearable
    impatient: NDArray[np.int64]  # finished requests that waited longer than was thought bearable
    late: NDArray[np.int64]  # finished requests that missed their adapter's TTFT objective
    overdue_at_end: NDArray[np.int64]
    due_tokens: NDArray[np.int64]  # to be served by the end: of all but the unfinished that are too young to be counted
    wait_p50: NDArray[np.float64]  # nanoseconds to the first token, over finished requests; NaN without any
    wait_p99: NDArray[np.float64]


def sum_up(
    scenario: Scenario,
    outcome: Outcome,
    *,
    request_latency: float,
    grace: float,
    patience: float,
    objectives: NDArray[np.float64],
) -> tuple[Totals, AdapterTotals]:
    """Sum up a run, as a whole and by adapter.

    Args:
        scenario: What was played.
        outcome: What happened.
        request_latency: Seconds that are added to the first token and the last, in the totals only.
        grace: Requests younger than this at the end (seconds) are not `counted`.
        patience: Waiting longer than this for the first token (seconds) is `impatient`, and `overdue` while it lasts.
        objectives: TTFT objective of each adapter, seconds; infinite where there is none.
    """
    latency_, grace_, patience_ = (round(seconds * NANOSECONDS) for seconds in (request_latency, grace, patience))
    served, sums, waits, adapter_of_wait, *rest = _sum_up(
        scenario.requests, outcome, scenario.window, latency_, grace_, patience_, objectives * NANOSECONDS
    )
    quantiles = grouped_quantiles(waits, adapter_of_wait, sums[:, 1], (0.5, 0.99))
    by_adapter = AdapterTotals(*np.ascontiguousarray(sums.T), *quantiles)
    whole = [int(column.sum()) for column in by_adapter[:5]]
    return Totals(served, whole[1], whole[4], whole[0], whole[3], *rest), by_adapter


def latency(histogram: NDArray[np.int64], total: float, count: int) -> Latency:
    """Mean and percentiles; `total` in nanoseconds."""
    if count == 0:
        return Latency()
    cumulative = np.cumsum(histogram)
    at = np.searchsorted(cumulative, np.ceil(np.array([0.5, 0.9, 0.99]) * cumulative[-1]))
    p50, p90, p99 = _GAP_VALUES[at]
    return Latency(mean=total / count / NANOSECONDS, p50=float(p50), p90=float(p90), p99=float(p99))


@compiled
def _sum_up(requests, outcome, window, request_latency, grace, patience, objectives):
    """One pass over the requests; columns of the sums by adapter are the first fields of `AdapterTotals`."""
    count, adapters = len(requests.arrival), len(objectives)
    sums = np.zeros((adapters, 17), np.int64)
    ttft, tpot, e2e = np.zeros(GAP_BINS, np.int64), np.zeros(GAP_BINS, np.int64), np.zeros(GAP_BINS, np.int64)
    ttft_sum = tpot_sum = e2e_sum = 0.0
    served = finished = tpot_count = 0
    waits, adapter_of_wait = np.empty(count, np.int64), np.empty(count, np.int32)  # of finished requests
    half = (window.warmup + window.end) // 2
    oldest_young = window.end - grace
    for r in range(count):
        a = requests.adapter[r]
        if outcome.rejected[r]:
            sums[a, 2] += 1
            continue
        tokens = requests.input[r] + requests.output[r]
        arrival, first, finish = requests.arrival[r], outcome.first_token[r], outcome.finish[r]
        if arrival >= window.warmup:
            sums[a, 0] += 1
            sums[a, 3] += requests.input[r] + requests.asked[r]
            if arrival <= oldest_young:
                sums[a, 7] += 1
                sums[a, 8] += tokens
                if finish < 0 and not outcome.running[r]:
                    sums[a, 9] += 1
                    sums[a, 10] += tokens
            if arrival <= oldest_young or finish >= 0:
                sums[a, 16] += tokens
        sums[a, 11] += first < 0
        sums[a, 12] += arrival <= half - patience and (first < 0 or first > half)
        sums[a, 15] += arrival <= window.end - patience and first < 0
        served += finish >= 0
        if finish <= window.warmup:
            continue
        wait, answering, gaps = first - arrival, finish - first, requests.output[r] - 1
        sums[a, 1] += 1
        sums[a, 4] += tokens
        sums[a, 5] += answering
        sums[a, 6] += gaps
        sums[a, 13] += wait > patience
        sums[a, 14] += wait > objectives[a]
        waits[finished] = wait
        adapter_of_wait[finished] = a
        finished += 1
        ttft[bin_of(wait + request_latency)] += 1
        ttft_sum += wait + request_latency
        e2e[bin_of(wait + answering + request_latency)] += 1
        e2e_sum += wait + answering + request_latency
        if gaps > 0:
            per_token = answering // gaps
            tpot[bin_of(per_token)] += 1
            tpot_sum += per_token
            tpot_count += 1
    return (
        served, sums, waits[:finished], adapter_of_wait[:finished],
        ttft, tpot, e2e, ttft_sum, tpot_sum, tpot_count, e2e_sum,
    )  # fmt: skip
