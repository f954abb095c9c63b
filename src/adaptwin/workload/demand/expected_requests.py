"""Expected requests: mean number of arrivals in a part of the window, over all seeds."""

import itertools
from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

from adaptwin.workload.arrivals import parse_arrivals
from adaptwin.workload.workload import Workload


def expected_requests(workload: Workload, start: float, end: float) -> NDArray[np.float64]:
    """Return the expected requests of each adapter from `start` to `end` seconds; shape (adapters,).

    Replayed timestamps are counted; those of the workload are distributed to the adapters by rate.
    """
    usual = workload.arrivals
    shared = _per_rate(workload, usual, start, end)
    return np.array(
        [
            adapter.rate * shared
            if adapter.arrivals is None
            else _between(adapter.arrivals, start, end)
            if isinstance(adapter.arrivals, tuple)
            else adapter.rate * _steady_seconds(adapter.arrivals, start, end)
            for adapter in workload.adapters
        ],
        dtype=np.float64,
    )


def _per_rate(workload: Workload, arrivals: str | tuple[float, ...], start: float, end: float) -> float:
    """Return expected requests per unit of rate of an adapter that has no arrivals of its own."""
    if isinstance(arrivals, str):
        return _steady_seconds(arrivals, start, end)
    rate = sum(adapter.rate for adapter in workload.adapters if adapter.arrivals is None)
    return _between(arrivals, start, end) / rate if rate > 0 else 0.0


def _between(times: tuple[float, ...], start: float, end: float) -> int:
    return bisect_left(times, end) - bisect_left(times, start)


def _steady_seconds(arrivals: str, start: float, end: float) -> float:
    """Return the seconds at factor 1 that bring as many requests as the time from `start` to `end`."""
    rates = parse_arrivals(arrivals).rates
    if not rates:
        return end - start
    stretches = rates if rates[0][0] == 0 else ((0.0, 1.0), *rates)
    return sum(
        factor * max(0.0, min(end, until) - max(start, since))
        for (since, factor), (until, _) in itertools.pairwise((*stretches, (float("inf"), 0.0)))
    )
