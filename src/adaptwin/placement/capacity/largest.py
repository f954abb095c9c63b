"""Bisection for the largest number, or factor, at which a condition holds.

A condition that holds at a value is assumed to hold at all smaller values. Where this is only nearly true, as with
answers of the twin, the condition holds at the value found, and does not hold at a slightly larger one.
"""

import math
from collections.abc import Callable
from typing import NamedTuple


class Bisected(NamedTuple):
    """Two values: the condition holds at `low`, or is assumed to; it fails at `high`, or is not tested there."""

    low: float
    high: float


def largest_count(most: int, holds: Callable[[int], bool]) -> int:
    """Return the largest number up to `most` at which the condition holds; 0 if at none. `most` is tried first."""
    if most == 0 or holds(most):
        return most
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def largest_count_near(most: int, start: int, holds: Callable[[int], bool]) -> int:
    """Return the largest number up to `most` at which the condition holds, by galloping from `start`, then bisection.

    The condition is assumed to hold at 0. Above a hundred, the number is exact to one per cent only.
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
    """Bracket the largest value from `low` to `high` at which the condition holds, with ends at most `width` apart."""
    while high - low > width:
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return Bisected(low, high)


def largest_near(start: float, low: float, high: float, width: float, holds: Callable[[float], bool]) -> Bisected:
    """Bracket the largest value at which the condition holds, as `largest_within` does, by galloping from `start`.

    The condition is assumed to hold at `low`. If it holds at `high`, both ends are `high`.
    """
    good, bad, stride = low, math.inf, width
    at, is_bracketed = min(max(start, low), high), False
    while not is_bracketed:
        if holds(at):
            if at == high:
                return Bisected(high, high)
            is_bracketed, good, at = bad < math.inf, at, min(at + stride, high)
        else:
            is_bracketed, bad, at = good > low or at - stride <= low, at, max(at - stride, low)
        stride *= 2
    return largest_within(good, bad, width, holds)


def largest_factor(low: float, high: float, ratio: float, holds: Callable[[float], bool]) -> Bisected:
    """Bracket the largest factor from `low` to `high` at which the condition holds, with ends within `ratio`."""
    while high / low > ratio:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return Bisected(low, high)
