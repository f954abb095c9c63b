"""Timestamps: recorded arrivals, dealt to adapters, and divided between servers, thinned out or added to.

Lists of timestamps are in seconds and in ascending order.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from adaptwin.workload.drawing.seeds import stream_seed

LATEST_COPY = 10.0  # seconds from a timestamp to its last copy


def deal(count: int, weights: Sequence[float], seed: int) -> list[NDArray[np.int64]]:
    """Return the positions of the timestamps, of `count`, that each adapter gets, in ascending order.

    They are drawn at random in proportion to the weights. Where all weights are 0, every adapter is equally likely.
    """
    chances = np.array(weights, np.float64)
    chances = chances / chances.sum() if chances.sum() > 0 else np.full(len(chances), 1.0 / len(chances))
    receivers = np.random.default_rng(stream_seed(seed, "", "timestamps")).choice(len(chances), count, p=chances)
    order = np.argsort(receivers, kind="stable")
    return np.split(order, np.cumsum(np.bincount(receivers, minlength=len(chances)))[:-1])


def copies(count: int, factor: float, name: str) -> NDArray[np.int64]:
    """Return how often each of `count` timestamps occurs in `factor` times the traffic; shape (count,).

    Those that occur once more than others are drawn at random, as evenly spaced ones would be less bursty than the
    list. Their number is rounded up or down at random, so that many short lists have `factor` times the traffic
    together. The draws depend on the name of the list; a higher factor only adds to the copies.
    """
    whole = int(factor)
    number = np.full(count, whole, np.int64)
    random = np.random.default_rng(stream_seed(count, name, "copies"))
    once_more = int((factor - whole) * count + random.random())
    number[random.permutation(count)[:once_more]] += 1
    return number


def repeated(times: Sequence[float], number: NDArray[np.int64]) -> tuple[float, ...]:
    """Return the timestamps, each as often as `number` says; further copies lie between it and the next one.

    They lie within the next ten seconds, because bursts of a fleet hit many adapters at once, each of which may have
    few timestamps: copies that are spread over long gaps would even out the bursts.
    """
    kept = np.asarray(times, np.float64)
    at = np.repeat(np.arange(len(kept)), number)
    rank = np.arange(len(at)) - np.repeat(np.cumsum(number) - number, number)  # of each copy, from 0
    gap = np.minimum(np.diff(kept, append=kept[-1:]), LATEST_COPY)
    return tuple((kept[at] + gap[at] * rank / np.maximum(1, number)[at]).tolist())
