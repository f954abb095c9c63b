"""Traces: a workload from a log of requests in the format of Azure or Mooncake."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.errors import SpecError
from adaptwin.file_kinds import TRACE, recognised
from adaptwin.workload.csv_rows import CsvRow, CsvRows, read_rows
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.sources.synthetic import RankMix, share_out
from adaptwin.workload.workload import Workload

MAX_PAIRS = 512  # pairs of lengths that are kept: enough for accurate means, few enough for a readable file


class Trace(NamedTuple):
    """Requests in order of arrival; every array has the shape (n,)."""

    time: NDArray[np.float64]  # seconds since the first request
    input: NDArray[np.int64]  # prompt tokens, at least 1
    output: NDArray[np.int64]  # answer tokens, at least 1

    @property
    def span(self) -> float:
        """Seconds from the first request to the last."""
        return float(self.time[-1])

    def until(self, time: float) -> "Trace":
        """Return the requests up to and including `time` seconds."""
        count = int(np.searchsorted(self.time, time, side="right"))
        return Trace(self.time[:count], self.input[:count], self.output[:count])


def workload_from_trace(
    path: str | Path,
    *,
    adapters: int,
    ranks: RankMix,
    popularity: str = "dirichlet:0.5",
    base_share: float = 0.0,
    first_part: float = 0.5,
    duration: float = 3600.0,
    rate_scale: float = 1.0,
    seed: int = 0,
) -> Workload:
    """Return a workload with rate and lengths of the first part of a trace, distributed to adapters by popularity.

    The rest of the trace remains as traffic that a plan has not seen. `first_part` is a share of the trace's time,
    `rate_scale` multiplies every rate, and `share_out` describes `adapters`, `ranks`, `popularity` and `base_share`.
    Raises `SpecError` naming file, line and column.
    """
    if not 0 < first_part <= 1:
        raise SpecError(f"{first_part:g} must be above 0 and at most 1", "first_part")
    if not 0 < rate_scale < float("inf"):
        raise SpecError(f"{rate_scale:g} must be above 0 and finite", "rate_scale")
    trace = read_trace(path)
    seconds = first_part * trace.span
    seen = trace.until(seconds)
    rate = rate_scale * len(seen.time) / seconds
    shared = share_out(rate, adapters=adapters, ranks=ranks, popularity=popularity, base_share=base_share, seed=seed)
    lengths = Lengths.empirical(zip(*representative_pairs(seen.input, seen.output).T, strict=True))
    return Workload(adapters=shared, lengths=lengths, duration=duration, seed=seed)


def read_trace(path: str | Path) -> Trace:
    """Read a request trace in one of the known formats; raises `SpecError` naming file, line and column.

    Azure: ``TIMESTAMP,ContextTokens,GeneratedTokens``; Mooncake: ``timestamp_ms,input_length,output_length``.
    Other columns are ignored. A length of 0 tokens is raised to 1.
    """
    rows = read_rows(path, TRACE)
    format_ = _format_of(rows)
    requests = np.array(list(_requests_in(rows.rows, format_)), dtype=np.float64).reshape(-1, 3)
    if len(requests) < 2:
        raise SpecError(f"too few requests: {len(requests)} (at least 2 needed)", file=path)
    requests = requests[np.argsort(requests[:, 0], kind="stable")]
    time = requests[:, 0] - requests[0, 0]
    if time[-1] <= 0:
        raise SpecError(f"all {len(requests)} requests arrive at the same time, so there is no rate", file=path)
    tokens = np.maximum(1, requests[:, 1:]).astype(np.int64)
    return Trace(time, tokens[:, 0], tokens[:, 1])


def representative_pairs(
    inputs: NDArray[np.int64], outputs: NDArray[np.int64], limit: int = MAX_PAIRS
) -> NDArray[np.int64]:
    """Return at most `limit` pairs that represent all of them: shape (min(n, limit), 2), in ascending order of total.

    The pairs are a systematic sample in serpentine order, as in surveys: strata by total tokens, sorted by output in
    ascending and descending order in turn; of every n/limit neighbours in this order, the middle one is chosen. Then
    single pairs are exchanged for others of their neighbourhood until both means agree with those of all pairs within
    0.1 %, or until no exchange helps, as when one request outweighs all others.
    """
    pairs = np.stack([inputs, outputs], axis=1)
    if len(pairs) > limit:
        ordered = pairs[_serpentine(pairs, strata=round(limit**0.5))]
        first = np.arange(limit + 1) * len(pairs) // limit
        chosen = ordered[(first[:-1] + first[1:]) // 2]
        pairs = _balanced(chosen, ordered, np.searchsorted(first, np.arange(len(pairs)), side="right") - 1)
    return pairs[np.argsort(pairs.sum(axis=1), kind="stable")]


def _balanced(
    chosen: NDArray[np.int64], ordered: NDArray[np.int64], slot: NDArray[np.int64], tolerance: float = 0.001
) -> NDArray[np.int64]:
    """Replace pairs of `chosen`, one per slot, by others of the same or an adjacent slot until the means agree."""
    wanted = ordered.mean(axis=0) * len(chosen)
    spare = np.tile(ordered, (3, 1))
    place = np.clip(np.concatenate([slot - 1, slot, slot + 1]), 0, len(chosen) - 1)
    chosen = chosen.copy()
    error = float(np.abs(chosen.sum(axis=0) / wanted - 1.0).max())
    while error > tolerance:
        sums = chosen.sum(axis=0) + spare - chosen[place]
        errors = np.abs(sums / wanted - 1.0).max(axis=1)
        best = int(errors.argmin())
        if errors[best] >= error:
            break
        chosen[place[best]], error = spare[best], float(errors[best])
    return chosen


def _serpentine(pairs: NDArray[np.int64], strata: int) -> NDArray[np.int64]:
    """Return the indices of the pairs in serpentine order: neighbours are similar in total and output."""
    total = pairs.sum(axis=1)
    stratum = np.empty(len(pairs), dtype=np.int64)
    stratum[np.argsort(total, kind="stable")] = np.arange(len(pairs)) * strata // len(pairs)
    output = np.where(stratum % 2 == 0, pairs[:, 1], -pairs[:, 1])
    return np.lexsort((total, output, stratum))


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


def _format_of(rows: CsvRows) -> _Format:
    """Return the format that shares columns with the header; raises `SpecError` if one of its columns is missing."""
    for format_ in _FORMATS:
        if {*format_[:3]} & {*rows.columns}:
            rows.require(format_[:3])
            return format_
    known = " or ".join(",".join(format_[:3]) for format_ in _FORMATS)
    error = SpecError(f"unknown trace format (needed: {known}; found: {','.join(rows.columns)})", file=rows.file)
    raise recognised(error, rows.file, TRACE)


def _requests_in(rows: Iterator[CsvRow], format_: _Format) -> Iterator[tuple[float, int, int]]:
    """Yield (seconds, input, output) of every row, unchanged."""
    for row in rows:
        tokens = row.whole(format_.input), row.whole(format_.output)
        if min(tokens) < 0:
            column = format_.input if tokens[0] < 0 else format_.output
            raise row.wrong(column, f"{min(tokens)} must be at least 0 tokens")
        yield format_.seconds(row, format_.time), *tokens
