"""Plausible rows: refuse values that lie outside physical limits, which mostly means another unit."""

from typing import NamedTuple

import numpy as np
import polars as pl

from adaptwin.arrays import Array
from adaptwin.errors import SpecError

MOST_STRAY_ROWS = 0.005  # share of a table's rows that may lie outside of the limits: single stalls in a long log
TIME_UNITS = {"milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}


class PlausibleLimits(NamedTuple):
    """Least and greatest plausible value of each row, both of shape (rows,), and the reason for them."""

    least: Array
    most: Array
    reason: str


def require_plausible(table: pl.DataFrame, name: str, column: str, limits: PlausibleLimits) -> list[str]:
    """Return a sentence if a few rows of a long table lie outside the limits.

    Raises:
        SpecError: One row of a short table, or more than 0.5 % of a long one, lies outside the limits.
    """
    values = table[column].to_numpy().astype(float)
    outside = (values < limits.least) | (values > limits.most)
    if not outside.any():
        return []
    row = int(np.argmax(outside))
    least, most = float(limits.least[row]), float(limits.most[row])
    message = f"{values[row]:,.4g} s is not plausible: expected {least:.2g} to {most:,.3g} s ({limits.reason})"
    if outside.mean() > MOST_STRAY_ROWS:
        raise SpecError(message + _unit_hint(float(values[row]), least, most), f"{name} row {row + 1}: {column}")
    return [f"{name} row {row + 1}: {column}: {message}; {int(outside.sum())} of {len(values)} rows are like this"]


def _unit_hint(value: float, least: float, most: float) -> str:
    """Return the unit in which the value would be plausible, as a question; nothing if there is none."""
    unit = next((unit for unit, seconds in TIME_UNITS.items() if least <= value * seconds <= most), None)
    return f"; is it in {unit}?" if unit else ""


def require_rows(table: pl.DataFrame, name: str, column: str, good: pl.Expr, expected: str) -> None:
    """Raise `SpecError` for the first row for which `good` is false; `expected` says what a good row is."""
    bad = ~table.select(good.alias("good"))["good"]
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise SpecError(f"{table[column][row]:g} must be {expected}", f"{name} row {row + 1}: {column}")
