"""Representative lengths: a few pairs of lengths that stand for those of many requests."""

import numpy as np
from numpy.typing import NDArray

MAX_PAIRS = 512  # enough for accurate means, few enough for a readable file


def representative_pairs(
    inputs: NDArray[np.int64], outputs: NDArray[np.int64], limit: int = MAX_PAIRS
) -> NDArray[np.int64]:
    """Return at most `limit` pairs that represent all of them: shape (min(n, limit), 2), in ascending order of total.

    The pairs are a systematic sample in serpentine order, as in surveys: strata by total tokens, sorted by output in
    ascending and descending order in turn; of every n/limit neighbours in this order, the middle one is chosen. Then
    single pairs are exchanged for others of their neighbourhood until both means agree with those of all pairs within
    0.1 %, or until no exchange helps, as when one request outweighs all others.
    """
    pairs = np.stack([inputs, outputs], axis=1)
    if len(pairs) > limit:
        ordered = pairs[_serpentine(pairs, strata=round(limit**0.5))]
        first = np.arange(limit + 1) * len(pairs) // limit
        chosen = ordered[(first[:-1] + first[1:]) // 2]
        pairs = _balanced(chosen, ordered, np.searchsorted(first, np.arange(len(pairs)), side="right") - 1)
    return pairs[np.argsort(pairs.sum(axis=1), kind="stable")]


def _balanced(
    chosen: NDArray[np.int64], ordered: NDArray[np.int64], slot: NDArray[np.int64], tolerance: float = 0.001
) -> NDArray[np.int64]:
    """Replace pairs of `chosen`, one per slot, by others of the same or an adjacent slot until the means agree."""
    wanted = ordered.mean(axis=0) * len(chosen)
    spare = np.tile(ordered, (3, 1))
    place = np.clip(np.concatenate([slot - 1, slot, slot + 1]), 0, len(chosen) - 1)
    chosen = chosen.copy()
    error = float(np.abs(chosen.sum(axis=0) / wanted - 1.0).max())
    while error > tolerance:
        sums = chosen.sum(axis=0) + spare - chosen[place]
        errors = np.abs(sums / wanted - 1.0).max(axis=1)
        best = int(errors.argmin())
        if errors[best] >= error:
            break
        chosen[place[best]], error = spare[best], float(errors[best])
    return chosen


def _serpentine(pairs: NDArray[np.int64], strata: int) -> NDArray[np.int64]:
    """Return the indices of the pairs in serpentine order: neighbours are similar in total and output."""
    total = pairs.sum(axis=1)
    stratum = np.empty(len(pairs), dtype=np.int64)
    stratum[np.argsort(total, kind="stable")] = np.arange(len(pairs)) * strata // len(pairs)
    output = np.where(stratum % 2 == 0, pairs[:, 1], -pairs[:, 1])
    return np.lexsort((total, output, stratum))
