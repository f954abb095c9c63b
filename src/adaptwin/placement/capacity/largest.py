"""Largest: the largest number, or factor, at which something holds, by bisection.

What holds is assumed to hold for all smaller values, too. Where that is only nearly so, as with answers of the twin,
the value found holds, and one a little larger does not.
"""

import math
from collections.abc import Callable
from typing import NamedTuple


class Bisected(NamedTuple):
    """Two values: at `low` it holds, or was taken to hold, and at `high` it does not, or is not looked for."""

    low: float
    high: float


def largest_count(most: int, holds: Callable[[int], bool]) -> int:
    """The largest number up to `most` at which it holds; 0 counts as one. `most` itself is tried first."""
    if most == 0 or holds(most):
        return most
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def largest_count_near(most: int, start: int, holds: Callable[[int], bool]) -> int:
    """The largest number up to `most` at which it holds, by galloping from `start`, then bisection; 0 counts as one.

    Beyond a hundred the last one per cent is not searched for.
    """
    good, bad = 0, most + 1
    stride = max(1, start // 16)
    count = min(max(1, start), most)
    while bad - good > max(1, good // 100):
        if holds(count):
            good = count
            count = min(count + stride, most) if bad > most else (good + bad) // 2
        else:
            bad = count
            count = max(count - stride, 1) if good == 0 else (good + bad) // 2
        stride *= 2
    return good


def largest_within(low: float, high: float, width: float, holds: Callable[[float], bool]) -> Bisected:
    """The ends around the largest value between `low` and `high` at which it holds, no wider than `width`."""
    while high - low > width:
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return Bisected(low, high)


def largest_factor(low: float, high: float, ratio: float, holds: Callable[[float], bool]) -> Bisected:
    """The ends around the largest factor between `low` and `high` at which it holds, its ends within `ratio`."""
    while high / low > ratio:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return Bisected(low, high)
