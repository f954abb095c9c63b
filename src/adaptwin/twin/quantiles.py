"""Quantiles of many numbers by group, without sorting all of them."""

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import compiled
from adaptwin.workload.drawing.sorting import shell_sort

_BINS = 256
_FEW = 64  # values of a group up to which it is sorted rather than counted by bin


@compiled
def grouped_quantiles(
    values: NDArray[np.int64], group: NDArray[np.int32], sizes: NDArray[np.int64], shares: tuple[float, ...]
) -> NDArray[np.float64]:
    """Return quantiles of the values of each group; NaN for an empty group.

    The quantile for a share is the smallest value of the group such that at least this share of the group's values is
    not above it.

    Args:
        values: All values, none of them negative.
        group: The group of each value.
        sizes: The number of values in each group.
        shares: The shares of the quantiles, each above 0 and at most 1.

    Returns:
        An array of shape (shares, groups).
    """
    quantiles = np.empty((len(shares), len(sizes)))
    grouped, end = _grouped(values, group, sizes)
    counts, chosen = np.empty(_BINS + 1, np.int64), np.empty(len(values), np.int64)
    for g in range(len(sizes)):
        if sizes[g] == 0:
            for q in range(len(shares)):
                quantiles[q, g] = np.nan
            continue
        own = grouped[end[g] - sizes[g] : end[g]]
        if sizes[g] <= _FEW:
            shell_sort(own)
            for q in range(len(shares)):
                quantiles[q, g] = own[_rank(shares[q], sizes[g])]
            continue
        low, shift = _count(own, counts)
        for q in range(len(shares)):
            quantiles[q, g] = _pick(own, _rank(shares[q], sizes[g]), counts, low, shift, chosen)
    return quantiles


@compiled
def _grouped(values, group, sizes):
    """Return the values group by group, and the end of each group."""
    fill = np.empty(len(sizes), np.int64)
    begin = 0
    for g in range(len(sizes)):
        fill[g] = begin
        begin += sizes[g]
    grouped = np.empty(len(values), np.int64)
    for i in range(len(values)):
        g = group[i]
        grouped[fill[g]] = values[i]
        fill[g] += 1  # the end of the group once all of its values are placed
    return grouped, fill


@compiled
def _rank(share, size):
    return int(np.ceil(share * size)) - 1


@compiled
def _bits(value):
    """The bits of a number as a float; they increase with the number, roughly as its logarithm."""
    return np.float64(value).view(np.int64)


@compiled
def _count(own, counts):
    """Count the values by bin: bin b has those with ``(_bits(value) - low) >> shift == b``. Return low and shift."""
    low, high = own[0], own[0]
    for value in own:
        low, high = min(low, value), max(high, value)
    low, shift = _bits(low), 0
    while (_bits(high) - low) >> shift >= _BINS:
        shift += 1
    counts[:] = 0
    for value in own:
        counts[(_bits(value) - low) >> shift] += 1
    return low, shift


@compiled
def _pick(own, rank, counts, low, shift, chosen):
    """Return the value of this rank: find its bin, and sort only the values of that bin."""
    wanted = 0
    while rank >= counts[wanted]:
        rank -= counts[wanted]
        wanted += 1
    found = 0
    for value in own:
        chosen[found] = value
        found += (_bits(value) - low) >> shift == wanted
    shell_sort(chosen[:found])
    return chosen[rank]
