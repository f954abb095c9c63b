"""Expected requests: mean number of arrivals in a part of the window, over all seeds."""

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
                seconds[arrivals] = parse_arrivals(arrivals).seconds_at_factor_one(start, end)
            expected.append(adapter.rate * seconds[arrivals])
        elif adapter.arrivals is None:
            share = adapter.rate / total if total > 0 else 1.0 / len(sharing)
            expected.append(share * _between(arrivals, start, end))
        else:
            expected.append(float(_between(arrivals, start, end)))
    return np.array(expected, np.float64)


def _between(times: tuple[float, ...], start: float, end: float) -> int:
    return bisect_left(times, end) - bisect_left(times, start)
