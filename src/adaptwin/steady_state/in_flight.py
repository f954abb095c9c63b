"""In flight: how many requests and adapters are served at once, by Little's law, and how much that varies.

The pace is the number of seconds from one token of an answer to the next. The mean number of an adapter's requests in
flight is its traffic, in answer tokens per second, times the pace.
"""

import math
from typing import NamedTuple

from adaptwin.arrays import Array
from adaptwin.jit import compiled
from adaptwin.workload.demand.traffic import OCTAVE_ADAPTERS, OCTAVE_TOKENS


class BusyAdapters(NamedTuple):
    """The number of adapters with a request in flight."""

    mean: float
    variance: float


@compiled
def busy_adapters(by_octave: Array, pace: float, dispersion: float) -> BusyAdapters:
    """Estimate how many adapters have a request in flight at this pace, if no request waits."""
    mean = variance = 0.0
    for i in range(len(by_octave)):
        adapters = by_octave[i, OCTAVE_ADAPTERS]
        if adapters > 0.0:
            requests = by_octave[i, OCTAVE_TOKENS] / adapters * pace
            idle = math.exp(-requests / peakedness(requests, dispersion))
            mean += adapters * (1.0 - idle)
            variance += adapters * idle * (1.0 - idle)
    return BusyAdapters(mean, variance)


@compiled
def adapters_with_more(by_octave: Array, pace: float, requests: float) -> float:
    """Number of adapters that have on average more than `requests` requests in flight."""
    found = 0.0
    for i in range(len(by_octave)):
        adapters = by_octave[i, OCTAVE_ADAPTERS]
        if adapters > 0.0 and by_octave[i, OCTAVE_TOKENS] / adapters * pace > requests:
            found += adapters
    return found


@compiled
def peakedness(requests: float, dispersion: float) -> float:
    """Variance over mean of an adapter's requests in flight, which is also about how many arrive together.

    This is the peakedness of a renewal process with Gamma gaps (Eckberg 1983). It is 1 for Poisson arrivals.
    """
    if dispersion == 1.0 or requests <= 0.0:
        return 1.0
    return 1.0 / (1.0 - (1.0 + dispersion / requests) ** (-1.0 / dispersion)) - requests


@compiled
def peakedness_seen(by_octave: Array, pace: float, dispersion: float) -> float:
    """Peakedness that a token sees: the mean over adapters, weighted by their tokens."""
    seen = total = 0.0
    for i in range(len(by_octave)):
        adapters, tokens = by_octave[i, OCTAVE_ADAPTERS], by_octave[i, OCTAVE_TOKENS]
        if adapters > 0.0:
            seen += tokens * peakedness(tokens / adapters * pace, dispersion)
            total += tokens
    return seen / total if total > 0.0 else 1.0
