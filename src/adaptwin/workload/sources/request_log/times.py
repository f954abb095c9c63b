"""Times of logs: dates with and without a zone, and numbers since 1970 or since the beginning, in any unit."""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from adaptwin.arrays import Array
from adaptwin.workload.sources.request_log.by_value import by_value
from adaptwin.workload.sources.request_log.columns import PER_SECOND

EARLIEST_DATE, LATEST_DATE = 9e8, 5e9  # seconds since 1970 that a log may have: 1998 to 2128
_ZONE = r"^ ?(?:Z|z|UTC|GMT|([+-]\d{2}(?::?\d{2})?))$"  # after the seconds and their fraction
FEW_MOMENTS = 10  # of which the time between may be a multiple of minutes by chance
_LOCAL = "%d/%b/%Y:%H:%M:%S %z"  # nginx's $time_local


def time_columns(text: pl.Expr, has_local: bool = False) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Return a time that is a number, one that is a date (seconds since 1970), and whether the date names its zone.

    Each is null where the text is something else. `has_local` looks for dates like ``06/Aug/2026:14:30:00 +0000``, too.
    """
    number = text.cast(pl.Float64, strict=False)
    clock = text.str.slice(0, 19).str.replace("T", " ", literal=True)
    clock = pl.when(text.str.len_bytes() == 10).then(clock + pl.lit(" 00:00:00")).otherwise(clock)
    seconds = clock.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us").dt.epoch("us") / 1e6
    tail = text.str.slice(19)
    zone = tail.str.strip_chars_start(".,0123456789")
    moment = seconds + _fraction(tail, zone) - by_value([zone], _offset, pl.Float64)
    zoned = number.is_null() & (zone != "")
    if has_local:
        local = text.str.to_datetime(_LOCAL, strict=False, time_unit="us").dt.epoch("us") / 1e6
        moment, zoned = pl.coalesce(moment, local), zoned | local.is_not_null()
    return number, moment, zoned


def _fraction(tail: pl.Expr, zone: pl.Expr) -> pl.Expr:
    """Return the fraction of a second before a zone; null where something else is there."""
    digits = tail.str.head(tail.str.len_chars() - zone.str.len_chars()).str.replace(",", ".", literal=True)
    fraction = (pl.lit("0") + digits).cast(pl.Float64, strict=False)
    return pl.when(digits == "").then(0.0).when(digits.str.starts_with(".")).then(fraction)


def _offset(zone: pl.Expr) -> pl.Expr:
    """Return by how many seconds a zone such as ``+02:00`` is ahead; null where the text is no zone."""
    digits = zone.str.extract(_ZONE, 1).str.replace(":", "", literal=True)
    hours = digits.str.slice(1, 2).cast(pl.Float64, strict=False)
    minutes = digits.str.slice(3, 2).cast(pl.Float64, strict=False).fill_null(0.0)
    sign = pl.when(digits.str.starts_with("-")).then(-1.0).otherwise(1.0)
    ahead = sign * (3600 * hours + 60 * minutes)
    return pl.when(zone == "").then(0.0).when(zone.str.contains(_ZONE)).then(ahead.fill_null(0.0))


class Clock(NamedTuple):
    """How the numbers of a log become seconds."""

    per_second: Array  # shape (n,): units in a second, for each number
    counts_from_start: bool  # rather than from 1970
    unit: str  # in words


class UnknownUnitError(Exception):
    """Numbers that neither count from 1970 nor come from a format with a known unit."""


def clock_of(numbers: Array, unit: str | None, usual: str | None) -> Clock:
    """Return how numbers become seconds.

    Numbers since 1970 show their unit by their size, each for itself. Where some are of another size, all have the
    `usual` unit and count from the beginning; or, if most are since 1970, the prevailing one.

    Args:
        numbers: Times, shape (n,), n at least 1.
        unit: The unit of all numbers, if it is known for certain.
        usual: The unit in this format of numbers that count from the beginning.

    Raises:
        UnknownUnitError: The numbers do not show their unit.
    """
    if unit is not None:
        per_second = np.full(len(numbers), PER_SECOND[unit])
        return Clock(per_second, not _is_epoch(numbers / per_second).all(), unit)
    per_second = _units_by_size(numbers)
    known = per_second > 0
    if known.all():
        units = [name for name, number in PER_SECOND.items() if (per_second == number).any()]
        return Clock(per_second, False, f"{' and '.join(units)} since 1970")
    if usual is not None and known.mean() <= 0.5:
        return Clock(np.full(len(numbers), PER_SECOND[usual]), True, usual)
    if known.mean() > 0.5:
        return Clock(np.where(known, per_second, np.median(per_second[known])), False, "numbers since 1970")
    raise UnknownUnitError


def other_unit(numbers: Array, unit: str) -> str | None:
    """Return the unit in which most numbers are times since 1970, if it is another than `unit`; None if it is not."""
    found = _units_by_size(numbers)
    return next((name for name, number in PER_SECOND.items() if name != unit and (found == number).mean() > 0.5), None)


def _units_by_size(numbers: Array) -> Array:
    """Return the units in a second of numbers since 1970; 0 for numbers that are none."""
    found = np.zeros(len(numbers))
    for number in PER_SECOND.values():
        found[_is_epoch(numbers / number)] = number
    return found


def _is_epoch(seconds: Array) -> NDArray[np.bool_]:
    return (seconds >= EARLIEST_DATE) & (seconds < LATEST_DATE)


def spread_over_steps(time: Array) -> tuple[Array, float]:
    """Return times in ascending order with the requests of each step spread over it, and the step in seconds.

    The step is that of the clock: whole seconds, minutes, or coarser. It is 0 where times are finer than seconds, or
    no two are the same.
    """
    step = _step_of(time)
    if not step:
        return time, 0.0
    _, first, number = np.unique(time, return_index=True, return_counts=True)
    place = np.arange(len(time)) - np.repeat(first, number)
    return time + step * place / np.repeat(number, number), step


def _step_of(time: Array) -> float:
    gaps = np.diff(np.round(1e3 * time).astype(np.int64))  # milliseconds
    if np.mod(gaps, 1000).any() or gaps.all() or not gaps.any():
        return 0.0
    seconds = int(np.gcd.reduce(gaps)) / 1000
    is_clock = seconds % 60 == 0 or seconds % 1000 == 0
    return seconds if is_clock and (np.count_nonzero(gaps) >= FEW_MOMENTS or seconds >= 3600) else 1.0
