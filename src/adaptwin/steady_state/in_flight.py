"""In flight: how many requests and adapters are served at once, by Little's law, and how unevenly.

The pace is the seconds from one token of an answer to the next: an adapter that asks for so many answer tokens per
second has that number times the pace of requests in flight.
"""

import math
from typing import NamedTuple

from adaptwin.arrays import Array
from adaptwin.jit import compiled
from adaptwin.workload.demand.traffic import OCTAVE_ADAPTERS, OCTAVE_TOKENS


class BusyAdapters(NamedTuple):
    """Adapters with a request in flight."""

    mean: float
    variance: float


@compiled
def busy_adapters(by_octave: Array, pace: float, dispersion: float) -> BusyAdapters:
    """The adapters with a request in flight, if a token takes so long and nobody waits."""
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
    """How many adapters have more than so many requests in flight on average."""
    found = 0.0
    for i in range(len(by_octave)):
        adapters = by_octave[i, OCTAVE_ADAPTERS]
        if adapters > 0.0 and by_octave[i, OCTAVE_TOKENS] / adapters * pace > requests:
            found += adapters
    return found


@compiled
def peakedness(requests: float, dispersion: float) -> float:
    """Variance over mean of an adapter's requests in flight; also, about how many come together.

    The peakedness of a renewal process with Gamma gaps (Eckberg 1983): 1 for Poisson arrivals.
    """
    if dispersion == 1.0 or requests <= 0.0:
        return 1.0
    return 1.0 / (1.0 - (1.0 + dispersion / requests) ** (-1.0 / dispersion)) - requests


@compiled
def peakedness_seen(by_octave: Array, pace: float, dispersion: float) -> float:
    """The peakedness that tokens see: the mean over adapters, weighted by their tokens."""
    seen = total = 0.0
    for i in range(len(by_octave)):
        adapters, tokens = by_octave[i, OCTAVE_ADAPTERS], by_octave[i, OCTAVE_TOKENS]
        if adapters > 0.0:
            seen += tokens * peakedness(tokens / adapters * pace, dispersion)
            total += tokens
    return seen / total if total > 0.0 else 1.0
