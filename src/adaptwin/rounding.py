"""Rounding: to the significant digits with which constants are written, and to none where a figure is not known."""

import math


def rounded(value: float, digits: int) -> float:
    """Round a value to this many significant digits."""
    return float(f"{value:.{digits}g}")


def finite_or_none(value: float | None) -> float | None:
    """Return a figure as it is; None where it is infinite, or not a number, or not known."""
    return value if value is not None and math.isfinite(value) else None
