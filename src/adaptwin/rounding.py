"""Rounding: constants as they are written down, to their significant digits."""


def rounded(value: float, digits: int) -> float:
    """The value to this many significant digits."""
    return float(f"{value:.{digits}g}")
