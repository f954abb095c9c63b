"""Statistics: from what happened to what a client would report - sums, histograms, percentiles."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import compiled
from adaptwin.twin.run import Latency
from adaptwin.twin.scenario import GAP_BINS, Outcome, Scenario, gap_bin, gap_value
from adaptwin.workload.requests import NANOSECONDS

_gap_bin = compiled(gap_bin)
_GAP_VALUES = np.array([gap_value(number) for number in range(GAP_BINS)]) / NANOSECONDS


class Totals(NamedTuple):
    """Sums over the requests of a run that lie inside its window."""

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
    gap_sum: NDArray[np.float64]
    gap_count: NDArray[np.int64]
    counted: NDArray[np.int64]  # requests old enough to count for the verdict
    counted_tokens: NDArray[np.int64]
    unserved: NDArray[np.int64]  # of these, requests that hold no seat and have not finished
    unserved_tokens: NDArray[np.int64]
    waiting_at_end: NDArray[np.int64]
    waiting_at_half: NDArray[np.int64]
    impatient: NDArray[np.int64]  # finished requests that waited longer than was thought bearable
    late: NDArray[np.int64]  # finished requests that missed their adapter's TTFT objective
    young_tokens: NDArray[np.int64]  # of requests too young to be counted that have not finished


def totals(scenario: Scenario, outcome: Outcome, request_latency: float) -> Totals:
    """Sum up a run; `request_latency` seconds are added to the first token and the last."""
    return Totals(*_totals(scenario.requests, outcome, scenario.window, round(request_latency * NANOSECONDS)))


def adapter_totals(
    scenario: Scenario, outcome: Outcome, *, grace: float, patience: float, objectives: NDArray[np.float64]
) -> AdapterTotals:
    """Sum up a run by adapter.

    Args:
        scenario: What was played.
        outcome: What happened.
        grace: Requests younger than this at the end (seconds) are not `counted`.
        patience: Waiting longer than this for the first token (seconds) is `impatient`.
        objectives: TTFT objective of each adapter, seconds; infinite where there is none.
    """
    limits = round(grace * NANOSECONDS), round(patience * NANOSECONDS), objectives * NANOSECONDS
    return AdapterTotals(*_adapter_totals(scenario.requests, outcome, scenario.window, *limits))


def latency(histogram: NDArray[np.int64], total: float, count: int) -> Latency:
    """Mean and percentiles; `total` in nanoseconds."""
    if count == 0:
        return Latency()
    cumulative = np.cumsum(histogram)
    at = np.searchsorted(cumulative, np.ceil(np.array([0.5, 0.9, 0.99]) * cumulative[-1]))
    p50, p90, p99 = _GAP_VALUES[at]
    return Latency(mean=total / count / NANOSECONDS, p50=float(p50), p90=float(p90), p99=float(p99))


def adapter_percentiles(
    scenario: Scenario, outcome: Outcome, request_latency: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median and 99th percentile of each adapter's time to first token, seconds; NaN without finished requests."""
    p50, p99 = _adapter_percentiles(scenario.requests, outcome, scenario.window, len(scenario.adapters.needs_slot))
    return p50 / NANOSECONDS + request_latency, p99 / NANOSECONDS + request_latency


@compiled
def _adapter_percentiles(requests, outcome, window, adapters):
    first = np.zeros(adapters + 1, np.int64)  # where each adapter's waits begin, once they are grouped
    for r in range(len(requests.arrival)):
        first[requests.adapter[r] + 1] += outcome.finish[r] > window.warmup
    for a in range(adapters):
        first[a + 1] += first[a]
    waits = np.empty(first[adapters], np.int64)
    fill = first[:-1].copy()
    for r in range(len(requests.arrival)):
        if outcome.finish[r] > window.warmup:
            a = requests.adapter[r]
            waits[fill[a]] = outcome.first_token[r] - requests.arrival[r]
            fill[a] += 1
    p50, p99 = np.full(adapters, np.nan), np.full(adapters, np.nan)
    for a in range(adapters):
        count = first[a + 1] - first[a]
        if count > 0:
            own = waits[first[a] : first[a + 1]]
            own.sort()
            p50[a] = own[int(np.ceil(0.5 * count)) - 1]
            p99[a] = own[int(np.ceil(0.99 * count)) - 1]
    return p50, p99


@compiled
def _totals(requests, outcome, window, request_latency):
    ttft = np.zeros(GAP_BINS, np.int64)
    tpot = np.zeros(GAP_BINS, np.int64)
    e2e = np.zeros(GAP_BINS, np.int64)
    finished = finished_tokens = arrivals = offered_tokens = tpot_count = 0
    ttft_sum = tpot_sum = e2e_sum = 0.0
    for r in range(len(requests.arrival)):
        tokens = requests.input[r] + requests.output[r]
        if requests.arrival[r] >= window.warmup and not outcome.rejected[r]:
            arrivals += 1
            offered_tokens += tokens
        if outcome.finish[r] <= window.warmup:
            continue
        finished += 1
        finished_tokens += tokens
        wait = outcome.first_token[r] - requests.arrival[r] + request_latency
        total = outcome.finish[r] - requests.arrival[r] + request_latency
        ttft[_gap_bin(wait)] += 1
        e2e[_gap_bin(total)] += 1
        ttft_sum += wait
        e2e_sum += total
        if requests.output[r] > 1:
            per_token = (outcome.finish[r] - outcome.first_token[r]) // (requests.output[r] - 1)
            tpot[_gap_bin(per_token)] += 1
            tpot_sum += per_token
            tpot_count += 1
    return (
        finished, finished_tokens, arrivals, offered_tokens, ttft, tpot, e2e, ttft_sum, tpot_sum, tpot_count, e2e_sum,
    )  # fmt: skip


@compiled
def _adapter_totals(requests, outcome, window, grace, patience, objectives):
    adapters = len(objectives)
    sums = np.zeros((15, adapters), np.int64)
    gap_sum = np.zeros(adapters, np.float64)
    half = (window.warmup + window.end) // 2
    for r in range(len(requests.arrival)):
        a = requests.adapter[r]
        tokens = requests.input[r] + requests.output[r]
        arrival, first, finish = requests.arrival[r], outcome.first_token[r], outcome.finish[r]
        if outcome.rejected[r]:
            sums[2, a] += 1
            continue
        if arrival >= window.warmup:
            sums[0, a] += 1
            sums[3, a] += tokens
            if arrival <= window.end - grace:
                sums[6, a] += 1
                sums[7, a] += tokens
                if finish < 0 and not outcome.running[r]:
                    sums[8, a] += 1
                    sums[9, a] += tokens
            elif finish < 0:
                sums[14, a] += tokens
        if first < 0:
            sums[10, a] += 1
        if arrival <= half and (first < 0 or first > half):
            sums[11, a] += 1
        if finish > window.warmup:
            sums[1, a] += 1
            sums[4, a] += tokens
            gap_sum[a] += finish - first
            sums[5, a] += requests.output[r] - 1
            sums[12, a] += first - arrival > patience
            sums[13, a] += first - arrival > objectives[a]
    return (
        sums[0], sums[1], sums[2], sums[3], sums[4], gap_sum, sums[5], sums[6], sums[7], sums[8], sums[9],
        sums[10], sums[11], sums[12], sums[13], sums[14],
    )  # fmt: skip
