"""Expected requests: how many come within a stretch of the window, in the mean over all seeds."""

import itertools
from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

from adaptwin.workload.arrivals import parse_arrivals
from adaptwin.workload.workload import Workload


def expected_requests(workload: Workload, start: float, end: float) -> NDArray[np.float64]:
    """Requests of each adapter from `start` to `end` seconds, of shape (adapters,); replayed ones are counted."""
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
    """Requests for each request/s of an adapter without arrivals of its own; it has its part of replayed ones."""
    if isinstance(arrivals, str):
        return _steady_seconds(arrivals, start, end)
    rate = sum(adapter.rate for adapter in workload.adapters if adapter.arrivals is None)
    return _between(arrivals, start, end) / rate if rate > 0 else 0.0


def _between(times: tuple[float, ...], start: float, end: float) -> int:
    return bisect_left(times, end) - bisect_left(times, start)


def _steady_seconds(arrivals: str, start: float, end: float) -> float:
    """Seconds of the adapter's own rate in which as many requests come as from `start` to `end`."""
    rates = parse_arrivals(arrivals).rates
    if not rates:
        return end - start
    stretches = rates if rates[0][0] == 0 else ((0.0, 1.0), *rates)
    return sum(
        factor * max(0.0, min(end, until) - max(start, since))
        for (since, factor), (until, _) in itertools.pairwise((*stretches, (float("inf"), 0.0)))
    )
