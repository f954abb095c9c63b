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
    usual, sharing = workload.arrivals, [adapter.rate for adapter in workload.adapters if adapter.arrivals is None]
    total = sum(sharing)
    seconds: dict[str, float] = {}
    expected = []
    for adapter in workload.adapters:
        arrivals = usual if adapter.arrivals is None else adapter.arrivals
        if isinstance(arrivals, str):
            if arrivals not in seconds:
                seconds[arrivals] = _steady_seconds(arrivals, start, end)
            expected.append(adapter.rate * seconds[arrivals])
        elif adapter.arrivals is None:
            share = adapter.rate / total if total > 0 else 1.0 / len(sharing)
            expected.append(share * _between(arrivals, start, end))
        else:
            expected.append(float(_between(arrivals, start, end)))
    return np.array(expected, np.float64)


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
