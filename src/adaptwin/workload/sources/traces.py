"""Traces: a workload from a log of requests in the format of Azure or Mooncake."""

import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from adaptwin.errors import SpecError
from adaptwin.file_kinds import TRACE, recognised
from adaptwin.spec import read_text
from adaptwin.workload.csv_rows import CsvRow, CsvRows, read_rows
from adaptwin.workload.lengths import MAX_TOKENS
from adaptwin.workload.sources.arrival_pattern import Keep, recorded_workload
from adaptwin.workload.sources.recording import Recording, suspicious_gap
from adaptwin.workload.sources.synthetic import RankMix, share_out
from adaptwin.workload.workload import Workload

LEAST_REQUESTS = 10  # fewer say nothing about a rate
WINDOW_SECONDS = 3600.0  # seconds: the usual window


class TraceFigures(NamedTuple):
    """What the window of a trace holds, and what is left out; times in seconds."""

    requests: int  # of the trace
    span: float  # from the first request of the trace to the last
    start: float  # of the window, since the first request
    window: float
    kept: int  # requests in the window
    before: int  # requests left out, before and after the window
    after: int
    raised: int  # lengths of 0 tokens in the trace, which count as 1
    mean_rate: float  # requests/s of the window
    peak_rate: float  # in its busiest minute
    mean_input: float  # tokens
    mean_output: float
    dispersion_second: float  # variance over mean of the requests per second; 1 where they come independently
    dispersion_minute: float  # of the requests per minute; NaN in windows of less than two minutes


class TraceWindow(NamedTuple):
    """A window of a trace that a workload is made from."""

    recording: Recording
    figures: TraceFigures

    def workload(
        self,
        *,
        adapters: int,
        ranks: RankMix,
        popularity: str = "dirichlet:0.5",
        base_share: float = 0.0,
        rate_scale: float = 1.0,
        keep: Keep | None = None,
        rates_file: str | Path | None = None,
        seed: int = 0,
    ) -> Workload:
        """Return a workload with the arrivals and lengths of the window.

        Args:
            adapters: Number of adapters, which `share_out` describes with `ranks`, `popularity` and `base_share`.
            ranks: Ranks in turn, or by weight.
            popularity: Distribution of the traffic over the adapters.
            base_share: Share of the traffic that goes to the base model.
            rate_scale: Factor on the number of requests.
            keep: Keep arrivals as timestamps, each with its own lengths, or as rates; None decides by their number.
            rates_file: CSV file that rates are written to, if they are kept.
            seed: Seed of all random draws, which is stored in the workload.

        Raises:
            SpecError: What is wrong with an argument.
        """
        if not 0 < rate_scale < float("inf"):
            raise SpecError(f"{rate_scale:g} must be above 0 and finite", "rate_scale")
        rate = rate_scale * self.recording.rate
        shared = share_out(
            rate, adapters=adapters, ranks=ranks, popularity=popularity, base_share=base_share, seed=seed
        )
        return recorded_workload(
            self.recording, shared, rate_scale=rate_scale, seed=seed, keep=keep, rates_file=rates_file
        )


def workload_from_trace(
    path: str | Path,
    *,
    adapters: int,
    ranks: RankMix,
    popularity: str = "dirichlet:0.5",
    base_share: float = 0.0,
    first_part: float = 1.0,
    busiest: float = WINDOW_SECONDS,
    rate_scale: float = 1.0,
    keep: Keep | None = None,
    rates_file: str | Path | None = None,
    seed: int = 0,
) -> Workload:
    """Return a workload with the arrivals and lengths of a trace's busiest window, shared out by popularity.

    `busiest` and `first_part` choose the window, as `trace_window` describes. `TraceWindow.workload` describes the
    other arguments. Raises `SpecError` naming file, line and column.
    """
    return trace_window(path, first_part=first_part, busiest=busiest).workload(
        adapters=adapters,
        ranks=ranks,
        popularity=popularity,
        base_share=base_share,
        rate_scale=rate_scale,
        keep=keep,
        rates_file=rates_file,
        seed=seed,
    )


def trace_window(path: str | Path, *, first_part: float = 1.0, busiest: float = WINDOW_SECONDS) -> TraceWindow:
    """Return the window of a trace with the most tokens, prompts and answers together.

    Args:
        path: The trace, in a format that `read_trace` knows.
        first_part: Share of the trace's time, from its start, that the window lies in.
        busiest: Seconds of the window; `math.inf` takes the whole trace, as does a trace that is shorter.

    Raises:
        SpecError: What is wrong, with file, line and column.
    """
    if not 0 < first_part <= 1:
        raise SpecError(f"{first_part:g} must be above 0 and at most 1", "first_part")
    if not busiest > 0:
        raise SpecError(f"{busiest:g} must be above 0", "busiest")
    whole, raised = _recording_of(path)
    part = whole.window(0.0, first_part * whole.duration)
    seconds = min(busiest, part.duration)
    start = part.busiest_start(seconds)
    seen = part.window(start, seconds)
    if len(seen.time) < LEAST_REQUESTS:
        message = f"too few requests: {len(seen.time)} in {seconds:g} s (at least {LEAST_REQUESTS} needed)"
        raise SpecError(message, file=path)
    before = int(np.searchsorted(whole.time, start))
    figures = TraceFigures(
        requests=len(whole.time),
        span=float(whole.time[-1]),
        start=start,
        window=seconds,
        kept=len(seen.time),
        before=before,
        after=len(whole.time) - len(seen.time) - before,
        raised=raised,
        mean_rate=seen.rate,
        peak_rate=seen.peak_rate(),
        mean_input=float(seen.input.mean()),
        mean_output=float(seen.output.mean()),
        dispersion_second=seen.dispersion(1.0),
        dispersion_minute=seen.dispersion(60.0),
    )
    return TraceWindow(seen, figures)


def read_trace(path: str | Path) -> Recording:
    """Read a request trace in one of the known formats; raises `SpecError` naming file, line and column.

    Azure: CSV with ``TIMESTAMP,ContextTokens,GeneratedTokens``; Mooncake: CSV with
    ``timestamp_ms,input_length,output_length``, or JSON lines with the keys ``timestamp`` (milliseconds),
    ``input_length`` and ``output_length``. Other columns are ignored. A length of 0 tokens is raised to 1. The
    recording begins with the first request, and ends with the second in which the last one arrives.
    """
    return _recording_of(path)[0]


def _recording_of(path: str | Path) -> tuple[Recording, int]:
    """Return the requests of a trace, and how many of their lengths are 0."""
    rows, format_ = _rows_of(path)
    requests = np.array(list(_requests_in(rows, format_)), dtype=np.float64).reshape(-1, 4)
    if len(requests) < 2:
        raise SpecError(f"too few requests: {len(requests)} (at least 2 needed)", file=path)
    requests = requests[np.argsort(requests[:, 0], kind="stable")]
    time, tokens = requests[:, 0] - requests[0, 0], requests[:, 1:3].astype(np.int64)
    if time[-1] <= 0:
        raise SpecError(f"all {len(requests)} requests arrive at the same time, so there is no rate", file=path)
    if gap := suspicious_gap(time):
        raise _far_off(int(requests[gap[0], 3]), gap[1], format_, path)
    inputs, outputs = np.maximum(1, tokens).T
    return Recording(time, inputs, outputs, duration=math.floor(time[-1]) + 1.0), int((tokens == 0).sum())


def _far_off(line: int, gap: float, format_: "_Format", path: str | Path) -> SpecError:
    """Return the error for a request whose time is far from those of all others."""
    time = next(row.text(format_.time) for row in _rows_of(path)[0] if row.line == line)
    days = f"{gap / 86400:,.0f} days" if gap >= 2 * 86400 else f"{gap:,.0f} seconds"
    message = f"{time!r} is {days} away from the nearest other request: correct the time, or remove such rows"
    return SpecError(message, f"line {line}: {format_.time}", path)


class _Format(NamedTuple):
    """The columns of a trace, and the function that converts its times to seconds."""

    time: str
    input: str
    output: str
    seconds: Callable[[CsvRow, str], float]


def _seconds_of_date(row: CsvRow, column: str) -> float:
    text = row.text(column)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is not a time such as 2023-11-16 18:15:46.680"
        raise row.wrong(column, message) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _seconds_of_milliseconds(row: CsvRow, column: str) -> float:
    return row.number(column) / 1000.0


_FORMATS = (
    _Format("TIMESTAMP", "ContextTokens", "GeneratedTokens", _seconds_of_date),
    _Format("timestamp_ms", "input_length", "output_length", _seconds_of_milliseconds),
)
_JSON_FORMAT = _Format("timestamp", "input_length", "output_length", _seconds_of_milliseconds)


def _rows_of(path: str | Path) -> tuple[Iterator[CsvRow], _Format]:
    """Return the rows of a trace, and its format; raises `SpecError`."""
    try:
        is_json = read_text(path).lstrip("\ufeff \t\r\n").startswith("{")
    except SpecError as error:
        raise recognised(error, path, TRACE) from None
    if is_json:
        return _json_rows(path), _JSON_FORMAT
    rows = read_rows(path, TRACE)
    return rows.rows, _format_of(rows)


def _json_rows(path: str | Path) -> Iterator[CsvRow]:
    """Yield the objects of JSON lines; raises `SpecError` where a line holds none, or the first one no request."""
    needed = _JSON_FORMAT[:3]
    for count, (number, line) in enumerate(_numbered_lines(path)):
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            raise recognised(SpecError("is not a JSON object", f"line {number}", path), path, TRACE)
        if count == 0 and (missing := [key for key in needed if key not in fields]):
            error = SpecError(f"missing key (needed: {', '.join(needed)})", f"line {number}: {missing[0]}", path)
            raise recognised(error, path, TRACE)
        yield CsvRow({str(key): str(value) for key, value in fields.items()}, number, path)


def _numbered_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of every line that is not blank."""
    lines = read_text(path).removeprefix("\ufeff").split("\n")
    return ((number, line) for number, line in enumerate(lines, start=1) if line.strip())


def _format_of(rows: CsvRows) -> _Format:
    """Return the format that shares columns with the header; raises `SpecError` if one of its columns is missing."""
    for format_ in _FORMATS:
        if {*format_[:3]} & {*rows.columns}:
            rows.require(format_[:3])
            return format_
    known = " or ".join(",".join(format_[:3]) for format_ in _FORMATS)
    error = SpecError(f"unknown trace format (needed: {known}; found: {','.join(rows.columns)})", file=rows.file)
    raise recognised(error, rows.file, TRACE)


def _requests_in(rows: Iterator[CsvRow], format_: _Format) -> Iterator[tuple[float, int, int, int]]:
    """Yield (seconds, input, output, line) of every row, unchanged."""
    for row in rows:
        yield format_.seconds(row, format_.time), _tokens(row, format_.input), _tokens(row, format_.output), row.line


def _tokens(row: CsvRow, column: str) -> int:
    tokens = row.whole(column)
    if not 0 <= tokens <= MAX_TOKENS:
        limit = "at least 0 tokens" if tokens < 0 else f"at most {MAX_TOKENS:,} tokens"
        raise row.wrong(column, f"{row.text(column)} must be {limit}")
    return tokens
