"""Problems of logs: the errors that name file, line, column and value."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from adaptwin.errors import SpecError
from adaptwin.tables import reason_of
from adaptwin.workload.csv_rows import CsvRow
from adaptwin.workload.lengths import MAX_TOKENS
from adaptwin.workload.sources.request_log.columns import FORMATS, KnownFormat, nearest_format, plain_name, unit_in
from adaptwin.workload.sources.request_log.requests import CHECKED, Meaning
from adaptwin.workload.sources.request_log.table import LogTable
from adaptwin.workload.sources.request_log.times import time_columns

EXAMPLE_TIME = "2023-11-16 18:15:46.680"
MOST_LISTED = 40
_HELD = {"time": "the time of a request", "adapter": "the model or adapter of a request"}


def far_off(path: Path, table: LogTable, meaning: Meaning, row: int, gap: float) -> SpecError:
    """Return the error for a request whose time is `gap` seconds away from those of all others."""
    cells = _row_at(path, table, meaning, row)
    column = meaning.roles["time"]
    days = f"{gap / 86400:,.0f} days" if gap >= 2 * 86400 else f"{gap:,.0f} seconds"
    message = f"{cells.text(column)!r} is {days} away from the nearest other request"
    return cells.wrong(column, f"{message}: correct the time, or remove such rows")


def _row_at(path: Path, table: LogTable, meaning: Meaning, row: int) -> CsvRow:
    """Return the columns of a row that are read, with its line."""
    columns = tuple(dict.fromkeys(meaning.roles[role] for role in CHECKED if role in meaning.roles))
    values: dict[str, Any] = table.scan(columns).filter(pl.col("row") == row).collect().row(0, named=True)
    cells = {column: values[column] for column in columns if values[column]}
    return CsvRow(cells, table.line_of(row), path, table.place)


def wrong_value(path: Path, table: LogTable, meaning: Meaning, row: int) -> SpecError:
    """Return the error for the first value in a row that is none."""
    cells = _row_at(path, table, meaning, row)
    try:
        _require_time(cells, meaning.roles["time"])
        for role in ("input", "output"):
            if role in meaning.roles:
                _require_tokens(cells, meaning.roles[role])
    except SpecError as error:
        return error
    column = next(column for column, text in cells.cells.items() if "_" in text or not text.isascii())
    return cells.wrong(column, f"{cells.text(column)!r} is not a number")  # though Python takes it for one


def _require_time(row: CsvRow, column: str) -> None:
    text = row.text(column)
    try:
        number = float(text)
    except ValueError:
        wanted = "a number" if unit_in(column) else f"a time such as {EXAMPLE_TIME}, or seconds since 1970"
        if _is_date(text):
            return
        raise row.wrong(column, f"{text!r} is not {wanted}") from None
    if not math.isfinite(number):
        raise row.wrong(column, f"{text!r} is not a finite number")


def _is_date(text: str) -> bool:
    moment = time_columns(pl.lit(text), has_local=True)[1]
    return pl.select(moment.alias("moment"))["moment"][0] is not None


def _require_tokens(row: CsvRow, column: str) -> None:
    tokens = row.whole(column)
    if not 0 <= tokens <= MAX_TOKENS:
        limit = "at least 0 tokens" if tokens < 0 else f"at most {MAX_TOKENS:,} tokens"
        raise row.wrong(column, f"{row.text(column)} must be {limit}")


def missing_column(role: str, path: Path, table: LogTable, is_trace: bool) -> SpecError:
    """Return the error for a column that is needed, and is not there."""
    if {"client", "start_s"} <= {*table.columns}:
        message = f"these are statistics of clients, not requests (found: {named(table.columns)})"
        return SpecError(message, file=path)
    known = nearest_format(table.columns) if is_trace else None
    if known and (absent := _absent(known, table)):
        return _incomplete(known, absent, path, table)
    if is_trace:
        formats = " or ".join(",".join(known.columns[:3]) for known in FORMATS)
        return SpecError(f"unknown trace format (needed: {formats}; found: {named(table.columns)})", file=path)
    held = _HELD.get(role, f"the {role} tokens of a request")
    message = f"no column is known to hold {held} (found: {named(table.columns)}): name it with --{role}-column"
    return SpecError(message + (", or give --lengths" if role not in _HELD else ""), file=path)


def _absent(known: KnownFormat, table: LogTable) -> str | None:
    """Return the first column of a format that a table lacks."""
    have = {plain_name(column) for column in table.columns}
    return next((column for column in known.columns[:3] if plain_name(column) not in have), None)


def _incomplete(known: KnownFormat, absent: str, path: Path, table: LogTable) -> SpecError:
    if table.form.startswith("JSON"):
        return SpecError(f"missing key (needed: {', '.join(known.columns[:3])})", f"line 1: {absent}", path)
    needed = f"needed: {','.join(known.columns[:3])}; found: {named(table.columns)}"
    return SpecError(f"missing column ({needed})", absent, path)


def named(names: Iterable[str]) -> str:
    """Return names with commas, the first of many."""
    names = list(names)
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ",".join(names[:MOST_LISTED]) + more


def damage(path: Path, table: LogTable, error: BaseException) -> SpecError:
    """Return the error that names the first line that cannot be read; `error` is what the reader says."""
    try:
        found = table.damage()
    except (pl.exceptions.PolarsError, OSError):
        found = None
    return found or SpecError(f"cannot be read: {reason_of(error)}", file=path)
