"""Residuals: how far each part of a fit is from its measurements, and how far it may be."""

from typing import NamedTuple

import numpy as np

from adaptwin.arrays import Array
from adaptwin.errors import SpecError


class Bound(NamedTuple):
    """Relative residuals of the median row: above `doubt` the fit warns, above `refused` it raises an error."""

    doubt: float
    refused: float


MEMORY_BOUND = Bound(doubt=0.02, refused=0.05)  # the KV cache of the measured H100 is linear to 0.3 and 0.9 %
LOAD_BOUND = Bound(doubt=0.15, refused=0.3)  # medians of the measured loads: 3 to 4 %
PLANNING_BOUND = Bound(doubt=0.15, refused=0.3)
STEP_BOUND = Bound(doubt=0.1, refused=0.2)  # the measured steps: 2.0 and 2.5 %


class Residual(NamedTuple):
    """How far a part of the fit is from its measurements: absolute errors in per cent."""

    part: str
    points: int
    mean: float
    worst: float


def residual(part: str, fitted: Array, measured: Array) -> Residual:
    """Summarise the relative errors of fitted values, in per cent."""
    error = 100 * np.abs(np.asarray(fitted, float) / np.asarray(measured, float) - 1)
    return Residual(part, len(error), float(error.mean()), float(error.max()))


def require_close(part: str, table: str, fitted: Array, measured: Array, rows: list[str], bound: Bound) -> list[str]:
    """Return a sentence if the fitted values are far from the measured ones; `rows` describes each of them.

    Raises:
        SpecError: The median of the relative residuals is above the bound; the error names the row that is farthest.
    """
    error = np.abs(fitted / measured - 1)
    middle, worst = float(np.median(error)), int(np.argmax(error))
    if middle <= bound.doubt:
        return []
    found = (
        f"{part}: the fit misses the median of {len(error)} rows by {middle:.0%}, and by {error[worst]:.0%} "
        f"{rows[worst]} ({measured[worst]:,.4g} measured, {fitted[worst]:,.4g} fitted)"
    )
    if middle > bound.refused:
        raise SpecError(f"{found}; expected at most {bound.refused:.0%}: check units and settings of the rows", table)
    return [f"{found}; a good fit misses it by at most {bound.doubt:.0%}"]
