"""Token gaps: the histogram of the times between the tokens of a request."""

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import compiled

GAP_BINS = 7169


def gap_bin(gap: int) -> int:
    """Histogram bin of a gap in nanoseconds: 128 bins per factor of two, so each is under 0.8 % wide.

    The kernel compiles this function; the reference calls it uncompiled.
    """
    if gap < 256:
        return gap
    return int(np.float64(gap).view(np.int64) >> 45) - 1029 * 128  # exponent and first seven bits of the mantissa


def gap_value(bin_number: int) -> float:
    """Middle of a bin, in nanoseconds."""
    if bin_number < 256:
        return float(bin_number)
    shift = bin_number // 128 - 1
    return ((bin_number - 128 * shift) + 0.5) * float(1 << shift)


bin_of = compiled(gap_bin)


def gap_counts(gaps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the histogram of gaps in nanoseconds, by `gap_bin`; shape (GAP_BINS,)."""
    bins = np.where(gaps < 256, gaps, (gaps.astype(np.float64).view(np.int64) >> 45) - 1029 * 128)
    return np.bincount(bins, minlength=GAP_BINS)
