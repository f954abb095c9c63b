"""Rounding: to the significant digits with which constants are written."""


def rounded(value: float, digits: int) -> float:
    """Round a value to this many significant digits."""
    return float(f"{value:.{digits}g}")
