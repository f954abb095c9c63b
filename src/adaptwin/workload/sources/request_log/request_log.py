"""Request log: the requests of one or more files, in order of time, and what was left out of them or assumed."""

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from adaptwin.arrays import Array
from adaptwin.errors import SpecError
from adaptwin.file_kinds import GZIP, LOG, TRACE, recognised
from adaptwin.tables import UNREADABLE, quiet_errors
from adaptwin.workload.drawing.prefixes import NO_PREFIXES, Prefixes
from adaptwin.workload.sources.recording import suspicious_gap
from adaptwin.workload.sources.request_log.block_hashes import hashed_prefixes, prefixes_of_texts
from adaptwin.workload.sources.request_log.columns import (
    PER_SECOND,
    KnownFormat,
    TimeUnit,
    format_in,
    roles_in,
    unit_in,
)
from adaptwin.workload.sources.request_log.log_files import FileHead, head_of, log_files
from adaptwin.workload.sources.request_log.problems import damage, far_off, missing_column, named, wrong_value
from adaptwin.workload.sources.request_log.requests import Meaning, requests_in
from adaptwin.workload.sources.request_log.table import LogTable, log_table_in
from adaptwin.workload.sources.request_log.times import UnknownUnitError, clock_of, other_unit, spread_over_steps
from adaptwin.workload.sources.request_log.usage_buckets import NoWidthError, spread_over_buckets

COARSEST = 900.0  # seconds between the times of a log with rates
MOST_SPAN = 366 * 86400.0  # seconds that a log may last


class LogColumns(NamedTuple):
    """Names of columns, for those that are not found by their usual names."""

    time: str | None = None
    input: str | None = None
    output: str | None = None
    adapter: str | None = None
    prompt: str | None = None


class RequestLog(NamedTuple):
    """The requests of a log in order of time; arrays have the shape (n,), and n is at least 2."""

    time: Array  # seconds since the first request
    input: NDArray[np.int64] | None  # prompt tokens, at least 1; None where the log has no tokens
    output: NDArray[np.int64] | None
    adapter: NDArray[np.int64]  # index into `names`; -1 where a request names no model
    names: tuple[str, ...]  # of the models that were asked, sorted
    start: float | None  # of the first request, in seconds since 1970, if the log has dates
    files: int
    formats: tuple[str, ...]  # of the files
    left_out: dict[str, int]  # rows that are no requests, by reason, the most frequent first
    raised: int  # lengths of 0 tokens, which count as 1
    assumed: tuple[str, ...]  # sentences
    columns: dict[str, str]  # that were read of the first file, by what they hold: time, input, output, adapter, ...
    prefixes: Prefixes  # as hashes of blocks tell, if the log is of one file; or as texts of prompts do

    @property
    def duration(self) -> float:
        """Seconds: up to the end of the second in which the last request arrives."""
        return math.floor(float(self.time[-1])) + 1.0


class _Part(NamedTuple):
    """The requests of one file."""

    path: Path
    table: LogTable
    meaning: Meaning
    requests: pl.DataFrame
    seconds: Array
    counts_from_start: bool
    left_out: dict[str, int]
    assumed: tuple[str, ...]


def read_request_log(
    places: Iterable[str | Path],
    *,
    columns: LogColumns | None = None,
    time_unit: TimeUnit | None = None,
    lengths_needed: bool = True,
    adapters_needed: bool = True,
    is_trace: bool = False,
) -> RequestLog:
    """Read the requests of files and folders; their order, and that of the rows, changes nothing.

    Rows that are no requests for text, that failed, or that lack something are counted by reason. A value that is
    none is an error, as is a time that is far from all others.

    Args:
        places: Files and folders. Formats and columns are recognised, see `columns.FORMATS` and `columns.ROLES`.
        columns: Columns that are called otherwise.
        time_unit: Unit of times that are numbers, if it cannot be seen from them.
        lengths_needed: Whether a log without tokens is an error.
        adapters_needed: Whether a log without names of models is an error.
        is_trace: Every row must be complete, the times are as exact as they are given, and there is one file.

    Raises:
        SpecError: What is wrong, with file, line, column and value.
    """
    found = log_files(places)
    reading = _Reading(columns or LogColumns(), time_unit, lengths_needed, adapters_needed, is_trace)
    parts = [reading.part(path) for path in found.files]
    relative = next((part for part in parts if part.counts_from_start), None)
    if relative and len(parts) > 1:
        message = "its times do not say the date, so it cannot be joined with other files"
        raise SpecError(message, relative.meaning.roles["time"], relative.path)
    return _log_of_parts(parts, found.notes, reading)


class _Reading(NamedTuple):
    """How files are read; see `read_request_log`."""

    columns: LogColumns
    time_unit: TimeUnit | None
    lengths_needed: bool
    adapters_needed: bool
    is_trace: bool

    def part(self, path: Path) -> _Part:
        """Return the requests of a file; raises `SpecError`."""
        try:
            head = head_of(path)
            table = log_table_in(path, head)
            meaning = self._meaning(path, head, table)
        except SpecError as error:
            raise (error if path.suffix == ".parquet" else recognised(error, path, LOG, TRACE, GZIP)) from None
        try:
            with quiet_errors():
                rows = requests_in(table, meaning).collect(engine="streaming")
        except UNREADABLE as error:
            raise damage(path, table, error) from None
        return self._checked(path, table, meaning, rows)

    def _meaning(self, path: Path, head: FileHead, table: LogTable) -> Meaning:
        for column in self.columns:
            if column is not None and column not in table.columns:
                raise SpecError(f"no such column (found: {named(table.columns)})", column, path)
        roles = roles_in(table.columns, self.columns._asdict())
        needed = ["time"]
        needed += ["input", "output"] if self.lengths_needed else []
        needed += ["adapter"] if self.adapters_needed else []
        for role in needed:
            if role not in roles:
                raise missing_column(role, path, table, self.is_trace)
        has_local = any(any(f"/{month}/" in line for month in _MONTHS) for line in head.lines[:3])
        return Meaning(roles, format_in(table.columns), has_local, self.lengths_needed, self.adapters_needed)

    def _checked(self, path: Path, table: LogTable, meaning: Meaning, rows: pl.DataFrame) -> _Part:
        """Return the requests among the rows; raises `SpecError` for the first row with a wrong value."""
        if self.is_trace:
            incomplete = rows["left_out"].cast(pl.String).str.contains("^has no ").fill_null(False)
            rows = rows.with_columns(wrong=pl.when(incomplete).then(9).otherwise(pl.col("wrong")))
        wrong = rows.filter(pl.col("wrong").is_not_null())
        if len(wrong):
            raise wrong_value(path, table, meaning, int(wrong["row"].min()))  # type: ignore[arg-type]
        counts = rows["left_out"].drop_nulls().cast(pl.String).value_counts()
        requests = rows.filter(pl.col("left_out").is_null())
        seconds, from_start, assumed = self._seconds(path, meaning, requests)
        if "requests" in meaning.roles and (requests["requests"] > 1).any():
            requests, seconds = self._unpacked(path, requests, seconds)
            assumed += ("the requests of a bucket come at random times in it, with its mean lengths",)
        return _Part(path, table, meaning, requests, seconds, from_start, dict(counts.iter_rows()), assumed)

    def _unpacked(self, path: Path, requests: pl.DataFrame, seconds: Array) -> tuple[pl.DataFrame, Array]:
        try:
            return spread_over_buckets(requests, seconds)
        except NoWidthError:
            raise SpecError("its only bucket does not say when it ends", file=path) from None

    def _seconds(self, path: Path, meaning: Meaning, requests: pl.DataFrame) -> tuple[Array, bool, tuple[str, ...]]:
        """Return the times in seconds, whether they count from the beginning, and what was assumed of them."""
        seconds = requests["moment"].to_numpy().copy()
        numbers = requests["number"].to_numpy()
        are_numbers = np.isnan(seconds)
        dates = ~are_numbers & ~requests["zoned"].fill_null(False).to_numpy()
        assumed: tuple[str, ...] = ("times without a zone are in UTC",) if dates.any() and not self.is_trace else ()
        if not are_numbers.any():
            return seconds, False, assumed
        column = meaning.roles["time"]
        usual, named = meaning.known.unit if meaning.known else None, unit_in(column)
        if self.time_unit is None and named and (other := other_unit(numbers[are_numbers], named)):
            example = float(numbers[are_numbers].max())
            message = f"{example:.0f} is a time since 1970 in {other}, not in {named} as the name says"
            raise SpecError(f"{message}: give --time-unit {other} or --time-unit {named}", column, path)
        try:
            clock = clock_of(numbers[are_numbers], self.time_unit or named, usual)
        except UnknownUnitError:
            example = float(numbers[are_numbers].max())
            message = f"numbers up to {example:g} are no dates, and their unit is unknown (allowed: a time unit of "
            raise SpecError(f"{message}{', '.join(PER_SECOND)}, with --time-unit)", column, path) from None
        seconds[are_numbers] = numbers[are_numbers] / clock.per_second
        if clock.counts_from_start:
            assumed += (f"times in the column {column} count in {clock.unit} from the beginning",)
        return seconds, clock.counts_from_start, assumed


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _log_of_parts(parts: list[_Part], notes: tuple[str, ...], reading: _Reading) -> RequestLog:
    """Return the requests of all files in order of time; raises `SpecError` where they are no log."""
    time = np.concatenate([part.seconds for part in parts])
    requests = pl.concat([part.requests.select("input", "output", "adapter", "blocks", "prompt") for part in parts])
    file = parts[0].path
    left_out = Counter[str]()
    for part in parts:
        left_out.update(part.left_out)
    if len(time) < 2:
        reasons = "".join(f"; {number:,} rows: {reason}" for reason, number in left_out.most_common(5))
        raise SpecError(f"too few requests: {len(time)} (at least 2 needed){reasons}", file=file)
    names = tuple(sorted(requests["adapter"].drop_nulls().cast(pl.String).unique().to_list()))
    adapter = requests["adapter"].cast(pl.String).cast(pl.Enum(names)).to_physical()
    code = adapter.cast(pl.Int64).fill_null(-1).to_numpy()
    lengths = requests.select("input", "output").fill_null(-1).cast(pl.Int64)
    inputs, outputs = lengths["input"].to_numpy(), lengths["output"].to_numpy()
    order = _order(time, inputs, outputs, code)
    time = time[order]
    _require_one_stretch(parts, order, time)
    assumed = list(dict.fromkeys((*notes, *(text for part in parts for text in part.assumed))))
    since = np.round(time - time[0], 6)  # seconds since 1970 are exact to microseconds
    if not reading.is_trace:
        since, step = spread_over_steps(since)
        if step > COARSEST:
            message = f"its times are {step:,.0f} s apart or the same: too coarse for rates (at most {COARSEST:,.0f} s)"
            raise SpecError(message, parts[0].meaning.roles["time"], file)
        if step:
            what = "whole seconds" if step == 1 else f"multiples of {step:,.0f} s"
            assumed.append(f"times are {what}: the requests of each are spread over it")
    has_lengths = not requests["input"].has_nulls() and not requests["output"].has_nulls()
    twice = _same_as_another(time, inputs[order], outputs[order], code[order]) if has_lengths else 0
    if twice and (time != np.floor(time)).any():
        assumed.append(f"{twice:,} requests are the same as another one: both count")
    first = parts[0]
    return RequestLog(
        time=since,
        input=np.maximum(1, inputs[order]) if has_lengths else None,
        output=np.maximum(1, outputs[order]) if has_lengths else None,
        adapter=code[order],
        names=names,
        start=None if first.counts_from_start or not first.table.has_years else float(time[0]),
        files=len(parts),
        formats=tuple(dict.fromkeys(_form_of(part.table, part.meaning.known) for part in parts)),
        left_out=dict(left_out.most_common()),
        raised=int((inputs == 0).sum() + (outputs == 0).sum()) if has_lengths else 0,
        assumed=tuple(assumed),
        columns=first.meaning.roles,
        prefixes=_prefixes_in(parts, requests, order, inputs, code) if has_lengths else NO_PREFIXES,
    )


def _prefixes_in(
    parts: list[_Part],
    requests: pl.DataFrame,
    order: NDArray[np.int64],
    prompts: NDArray[np.int64],
    adapter: NDArray[np.int64],
) -> Prefixes:
    """Return the prefixes of the requests in order, as far as the files tell them."""
    roles, lengths = parts[0].meaning.roles, np.maximum(1, prompts[order])
    if "prompt" in roles:
        return prefixes_of_texts(requests["prompt"].gather(order).to_list(), lengths, adapter[order])
    if "blocks" in roles and len(parts) == 1:
        return hashed_prefixes(requests["blocks"].gather(order).to_list(), lengths, roles["blocks"], parts[0].path)
    return NO_PREFIXES


def _order(time: Array, *more: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the order of requests by time, and by more columns where the time is the same."""
    order = np.argsort(time, kind="stable")  # logs are almost sorted
    same = np.diff(time[order]) == 0
    places = np.flatnonzero(np.append(same, False) | np.append(False, same))
    tied = order[places]
    order[places] = tied[np.lexsort((*(column[tied] for column in reversed(more)), time[tied]))]
    return order


def _same_as_another(*columns: Array | NDArray[np.int64]) -> int:
    """Return how many requests, in order, are the same as the one before, as in files that overlap.

    A few may be so by chance: under 1 in 20 count as none.
    """
    same = np.all([np.diff(column) == 0 for column in columns], axis=0)
    found = int(same.sum())
    return found if 20 * found > len(same) else 0


def _form_of(table: LogTable, known: KnownFormat | None) -> str:
    return f"{known.name}, {table.form}" if known else table.form


def _require_one_stretch(parts: list[_Part], order: NDArray[np.int64], time: Array) -> None:
    """Raise `SpecError` where a time is far from all others, all are the same, or they are of years."""
    if time[-1] <= time[0]:
        message = f"all {len(time)} requests arrive at the same time, so there is no rate"
        raise SpecError(message, file=parts[0].path)
    if gap := suspicious_gap(time):
        part, row = _row_of(parts, int(order[gap[0]]))
        raise far_off(part.path, part.table, part.meaning, row, gap[1])
    if time[-1] - time[0] > MOST_SPAN:
        days = (time[-1] - time[0]) / 86400
        message = f"the requests are of {days:,.0f} days: give the files of one stretch (at most 366 days)"
        raise SpecError(message, file=parts[0].path)


def _row_of(parts: list[_Part], position: int) -> tuple[_Part, int]:
    """Return the file of a request, and its row there."""
    ends = np.cumsum([len(part.seconds) for part in parts])
    number = int(np.searchsorted(ends, position, side="right"))
    part = parts[number]
    return part, int(part.requests["row"][position - int(ends[number])])
