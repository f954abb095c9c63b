"""Weights: shares of traffic as the whole numbers that routers take."""

from collections.abc import Iterable

SCALES = (100, 1_000, 1_000_000)  # sums of weights; the last is the most that a Gateway API route takes for one
_EXACT = 1e-9


def whole_weights(shares: Iterable[float]) -> list[int]:
    """Return a whole weight of at least 1 for each positive share, in the smallest of `SCALES` that is exact.

    Where none is, weights of the largest scale are rounded, each to less than a millionth of the traffic. A single
    share has the weight 1.
    """
    values = list(shares)
    if len(values) == 1:
        return [1]
    for scale in SCALES:
        if all(abs(value * scale - round(value * scale)) < _EXACT * scale and round(value * scale) for value in values):
            break
    return [max(1, round(value * scale)) for value in values]
