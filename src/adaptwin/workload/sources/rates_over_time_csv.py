"""Rates over time from a CSV file: a column for each period, or a row for each adapter and period.

In the wide form, a row has the name of an adapter and its rate in every period; the headers are the times at which the
periods begin. In the long form, a row has such a time, a name and a rate. Either way, periods are equally long.
"""

import csv
import io
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from adaptwin.errors import SpecError
from adaptwin.file_kinds import RATES_CSV, recognised
from adaptwin.plain_data import is_number
from adaptwin.quantities import parse_seconds
from adaptwin.workload.csv_rows import CsvRow, CsvRows, read_rows
from adaptwin.workload.rates_over_time import DAY, HOUR, RatesOverTime, clock_time
from adaptwin.workload.workload import MOST_ADAPTERS, MOST_RATE
from adaptwin.writing import write_atomically

MOST_HOUR = 168.0  # as a plain number: the hours of a week; more would rather be seconds
MOST_PERIODS = 10_000  # more than the hours of a year
SHORTEST_PERIOD = 60.0  # seconds: in less, a rate is a matter of chance
LONG_COLUMNS = ("start", "name", "rate")
_CLOCK_TIME = re.compile(r"(\d{1,4}):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_ROUNDING_SECONDS = 1e-6
_KNOWN_TIMES = "the hour, such as 0 or 23; hh:mm; or a time with a unit, such as 90m"


def read_rates_over_time(path: str | Path) -> RatesOverTime:
    """Read the requests per second of adapters in periods; raises `SpecError` naming file, line and column.

    The wide form has the column ``name`` and one for each period. Its headers are the hours ``0``, ``1``, ..., times
    of the day such as ``07:30``, or times since midnight such as ``90m``; the last period is as long as the others.

    The long form has the columns ``start,name,rate``; ``start`` is a time of the day, seconds since midnight, or a date
    and time such as ``2024-05-01T07:00``. A period without a row for an adapter has the rate 0.
    """
    rows = read_rows(path, RATES_CSV)
    try:
        return _read_long(rows) if {"start", "rate"}.issubset(rows.columns) else _read_wide(rows)
    except SpecError as error:
        raise recognised(error, path, RATES_CSV) from None


def _read_wide(rows: CsvRows) -> RatesOverTime:
    headers = [column for column in rows.columns if column != "name"]
    found = rows.at_most(MOST_ADAPTERS).require(("name",))
    starts = [_time_of_header(header, rows.file) for header in headers]
    named = [f"column {header!r}" for header in headers]
    period = _period_of(starts, named, rows.file)
    line_of: dict[str, int] = {}
    rates: list[list[float]] = []
    for row in found:
        name = _new_name(row, line_of)
        line_of[name] = row.line
        rates.append([_rate_in(row, header) for header in headers])
    if not rates:
        raise SpecError("has no rows", file=rows.file)
    return RatesOverTime(tuple(line_of), np.array(rates, np.float64), period, start=starts[0])


def _new_name(row: CsvRow, line_of: dict[str, int]) -> str:
    name = row.text("name")
    if name in line_of:
        raise row.wrong("name", f"duplicate name {name!r}: lines {line_of[name]} and {row.line}")
    return name


def _rate_in(row: CsvRow, column: str) -> float:
    if column not in row.cells:
        raise row.wrong(column, "missing: write 0 for a period without requests")
    rate = row.number(column)
    if not 0 <= rate <= MOST_RATE:
        raise row.wrong(column, f"{rate:g} must be from 0 to {MOST_RATE:g} requests per second")
    return rate


def _time_of_header(header: str, file: str | Path) -> float:
    """Return the seconds since midnight that a column begins at; raises `SpecError`."""
    try:
        if is_number(header):
            hour = float(header)
            if not (0 <= hour <= MOST_HOUR and hour.is_integer()):
                raise ValueError(f"{header} is no hour from 0 to {MOST_HOUR:g}")
            return hour * HOUR
        return _clock_or_span(header)
    except ValueError as error:
        raise SpecError(f"{error} (allowed: name, and times: {_KNOWN_TIMES})", f"column {header!r}", file) from None


def _clock_or_span(text: str) -> float:
    """Return ``07:30``, or a time such as ``90m``, in seconds; a bare number is in seconds. Raises `ValueError`."""
    if matched := _CLOCK_TIME.fullmatch(text):
        hours, minutes, seconds = (int(part or 0) for part in matched.groups())
        return hours * 3600.0 + minutes * 60.0 + seconds
    try:
        value = parse_seconds(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time") from None
    if not 0 <= value < math.inf:
        raise ValueError(f"{text!r} must be at least 0 and finite")
    return value


def _period_of(starts: Sequence[float], named: Sequence[str], file: str | Path) -> float:
    """Return the seconds of a period; raises `SpecError`, which names the times, if they are not evenly spaced."""
    if len(starts) < 2:
        raise SpecError(f"{len(starts)} period: at least 2 are needed, whose times tell how long they are", file=file)
    if len(starts) > MOST_PERIODS:
        raise SpecError(f"{len(starts):,} periods are too many (at most {MOST_PERIODS:,})", file=file)
    period = starts[1] - starts[0]
    for place, (before, start) in enumerate(itertools.pairwise(starts), start=1):
        if start <= before:
            raise SpecError(f"{named[place]} must be later than {named[place - 1]}", "start", file)
        if abs(start - before - period) > _ROUNDING_SECONDS:
            what = f"{named[place - 1]} lasts {start - before:g} s, but the first period {period:g} s"
            raise SpecError(f"{what}: periods must be equally long, without gaps", "start", file)
    if period < SHORTEST_PERIOD:
        raise SpecError(f"periods of {period:g} s are too short (at least {SHORTEST_PERIOD:g} s)", "start", file)
    return period


class _Start(NamedTuple):
    """When a row of the long form begins: seconds, since midnight or, with a date, since 1970."""

    seconds: float
    is_date: bool


def _read_long(rows: CsvRows) -> RatesOverTime:
    line_of: dict[tuple[float, str], int] = {}
    found: list[tuple[float, str, float]] = []
    text_of: dict[float, str] = {}
    kinds: set[bool] = set()
    for row in rows.at_most(MOST_ADAPTERS * MOST_PERIODS).require(LONG_COLUMNS, ()):
        start, is_date = _start_in(row)
        kinds.add(is_date)
        if len(kinds) > 1:
            raise row.wrong("start", f"{row.text('start')!r}: some times have a date, and some have none")
        pair = start, row.text("name")
        if pair in line_of:
            what = f"duplicate rate of {pair[1]!r} at {row.text('start')}: lines {line_of[pair]} and {row.line}"
            raise row.wrong("start", what)
        line_of[pair] = row.line
        text_of.setdefault(start, row.text("start"))
        found.append((*pair, _rate_in(row, "rate")))
    if not found:
        raise SpecError("has no rows", file=rows.file)
    starts = sorted(text_of)
    period = _period_of(starts, [f"the period at {text_of[start]}" for start in starts], rows.file)
    names = list(dict.fromkeys(name for _, name, _ in found))
    name_at, start_at = ({value: at for at, value in enumerate(values)} for values in (names, starts))
    rates = np.zeros((len(names), len(starts)))
    for start, name, rate in found:
        rates[name_at[name], start_at[start]] = rate
    return RatesOverTime(tuple(names), rates, period, start=starts[0] % DAY if True in kinds else starts[0])


def _start_in(row: CsvRow) -> _Start:
    text = row.text("start")
    try:
        when = datetime.fromisoformat(text) if "-" in text[1:] else None
    except ValueError:
        when = None
    if when is not None:  # the time on the clock of the place, whatever its distance from UTC
        return _Start(when.replace(tzinfo=UTC).timestamp(), True)
    try:
        return _Start(_clock_or_span(text), False)
    except ValueError as error:
        raise row.wrong("start", f"{error} (allowed: seconds, 90m, 07:30 or 2024-05-01T07:30)") from None


def write_rates_over_time(rates: RatesOverTime, path: str | Path) -> None:
    """Write rates in the wide form, which `read_rates_over_time` reads."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", *_headers(rates)])
    for name, row in zip(rates.names, rates.rates.tolist(), strict=True):
        writer.writerow([name, *(f"{rate:.10g}" for rate in row)])
    write_atomically(path, text.getvalue())


def _headers(rates: RatesOverTime) -> Iterator[str]:
    starts = [rates.start_of(place) for place in range(len(rates))]
    on_the_clock = all(start == round(start) for start in starts)
    return (clock_time(start) if on_the_clock else f"{start!r}s" for start in starts)
