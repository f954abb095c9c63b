"""Tables of logs: the columns of a file that are needed, as text, read piece by piece whatever the format."""

import csv
import glob
import json
import re
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from adaptwin.errors import SpecError
from adaptwin.plain_data import BOM
from adaptwin.workload.sources.request_log.log_files import FileHead, scan_lines
from adaptwin.workload.sources.request_log.vllm_lines import VLLM_COLUMNS, WHOLE_DATE, is_vllm_log, vllm_requests

SEPARATORS = (",", "\t", ";", "|")
LISTS = ("data", "results", "items", "logs", "requests", "rows", "records", "entries")  # keys of a list of requests
_COMBINED = re.compile(r'^\S+ \S+ .*\[\d{2}/\w{3}/\d{4}:[\d:]{8} [+-]\d{4}\] "')
CARRIAGE_RETURN = "\r"
NO_OBJECT = "is not a JSON object"

Scan = Callable[[Sequence[str]], pl.LazyFrame]


class LogTable(NamedTuple):
    """A file of rows: its columns, how to read some of them, and how to find the line of a row."""

    form: str  # in words
    columns: tuple[str, ...]
    scan: Scan  # the columns that are named, as text, and `row` from 0
    line_of: Callable[[int], int]  # of the file, from 1; of a list in JSON, the number of the entry
    place: str = "line"
    has_years: bool = True  # whether its times do
    damage: Callable[[], SpecError | None] = lambda: None  # the first line that cannot be read


def log_table_in(path: Path, head: FileHead) -> LogTable:
    """Return the table in a file; raises `SpecError` where it holds none."""
    if head.is_parquet:
        return _parquet(path)
    lines = [(number, line) for number, line in enumerate(head.lines, start=1) if line.strip()]
    if not lines:
        raise SpecError("the file is empty", file=path)
    first = lines[0][1].lstrip()
    if first.startswith(("{", "[")):
        return _json_table(path, head, lines)
    if is_vllm_log(head.lines):
        return LogTable(
            "request log of vLLM",
            VLLM_COLUMNS,
            lambda _: vllm_requests(path),
            lambda row: row + 1,
            has_years=any(re.match(WHOLE_DATE, line) for line in head.lines),
        )
    if _COMBINED.match(first):
        message = "this access log is not JSON: it names neither model nor tokens (log them with a JSON log_format)"
        raise SpecError(message, f"line {lines[0][0]}", path)
    return _delimited(path, lines[0])


def _parquet(path: Path) -> LogTable:
    def scan(columns: Sequence[str]) -> pl.LazyFrame:
        frame = pl.scan_parquet(path, glob=False, row_index_name="row")
        return frame.select("row", *(pl.col(column).cast(pl.String) for column in columns))

    try:
        columns = tuple(pl.scan_parquet(path, glob=False).collect_schema().names())
    except pl.exceptions.PolarsError as error:
        raise SpecError(f"cannot be read as Parquet: {error}", file=path) from None
    return LogTable("Parquet", columns, scan, lambda row: row + 1, "row")


def _delimited(path: Path, header: tuple[int, str]) -> LogTable:
    """Return the table of a file whose first line names the columns."""
    number, text = header
    if CARRIAGE_RETURN in text.rstrip():
        raise SpecError("has a carriage return (\\r) that ends no line", f"line {number}", path)
    separator = max(SEPARATORS, key=_outside_quotes(text).count)
    columns = tuple(cell.strip() for cell in next(csv.reader([text], delimiter=separator, skipinitialspace=True)))
    twice = next((column for column in columns if columns.count(column) > 1), None)
    if twice is not None:
        raise SpecError(f"duplicate column {twice!r}", f"line {number}", path)

    def scan(wanted: Sequence[str]) -> pl.LazyFrame:
        frame = pl.scan_csv(
            path,
            glob=False,
            separator=separator,
            infer_schema=False,
            skip_lines=number - 1,
            new_columns=list(columns),
            row_index_name="row",
        )
        blank = pl.all_horizontal(pl.col(column).is_null() for column in columns)
        return frame.filter(~blank).select("row", *(pl.col(column).str.strip_chars(" \t\"'") for column in wanted))

    names = {",": "CSV", "\t": "TSV", ";": "CSV with semicolons", "|": "CSV with bars"}
    return LogTable(
        names[separator],
        columns,
        scan,
        line_of=lambda row: _line_of_cells(path, separator, number, row),
        damage=lambda: _damaged_cells(path, separator, number, len(columns)),
    )


def _outside_quotes(text: str) -> str:
    return re.sub(r'"[^"]*"', "", text)


def _json_table(path: Path, head: FileHead, lines: list[tuple[int, str]]) -> LogTable:
    """Return the table of JSON lines, of a list of objects, or of an object that holds such a list."""
    first = _object_in(lines[0][1])
    if isinstance(first, dict) and (len(lines) > 1 or _list_in(first) is None):
        return _json_lines(path, head, lines)
    entries = _list_in(_document(path, lines[0][0]))
    if entries is None:
        raise SpecError(NO_OBJECT, f"line {lines[0][0]}", path)
    return _entries(entries)


def _object_in(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _document(path: Path, line: int) -> Any:
    """Return the whole file as JSON; raises `SpecError` naming the line of what is wrong."""
    text = "\n".join(scan_lines(path).collect()["line"].fill_null("").to_list()).removeprefix(BOM)
    try:
        return json.loads(text)
    except ValueError as error:
        wrong = getattr(error, "lineno", line)
        raise SpecError(NO_OBJECT, f"line {line if text.lstrip().startswith('{') else wrong}", path) from None
    except RecursionError:
        raise SpecError("is nested too deeply", file=path) from None


def _list_in(document: Any) -> list[dict[str, Any]] | None:
    """Return the list of objects that a document is or holds, with those of its buckets; None if there is none."""
    if isinstance(document, dict):
        document = next((document[key] for key in LISTS if isinstance(document.get(key), list)), None)
    if not isinstance(document, list) or not all(isinstance(entry, dict) for entry in document):
        return None
    return [part for entry in document for part in _parts_of(entry)]


def _parts_of(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the results of a bucket, each with the times of the bucket; an entry that is none is its only part."""
    results = entry.get("results")
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        yield entry
        return
    times = {key: value for key, value in entry.items() if key != "results"}
    yield from ({**times, **result} for result in results)


def _entries(entries: list[dict[str, Any]]) -> LogTable:
    """Return the table of a list of objects."""
    flat = [flattened(entry) for entry in entries]
    columns = tuple(dict.fromkeys(column for entry in flat for column in entry))

    def scan(wanted: Sequence[str]) -> pl.LazyFrame:
        values = {column: [entry.get(column) for entry in flat] for column in wanted}
        return pl.LazyFrame(values, schema=dict.fromkeys(wanted, pl.String)).with_row_index("row")

    return LogTable("JSON", columns, scan, lambda row: row + 1, "entry")


def flattened(entry: dict[str, Any]) -> dict[str, str | None]:
    """Return the values of an object and of the objects in it as text, by keys joined with dots."""
    found: dict[str, str | None] = {}
    for key, value in entry.items():
        if isinstance(value, dict):
            found.update({f"{key}.{inner}": text for inner, text in flattened(value).items()})
        else:
            found[key] = value if isinstance(value, str | None) else json.dumps(value)
    return found


def _json_lines(path: Path, head: FileHead, lines: list[tuple[int, str]]) -> LogTable:
    """Return the table of a file with an object per line."""
    found: dict[str, tuple[str, ...]] = {}
    for number, line in lines[:-1] if len(lines) > 1 else lines:
        fields = _object_in(line)
        if not isinstance(fields, dict):
            raise SpecError(NO_OBJECT, f"line {number}", path)
        found.update((column, keys) for column, keys in _paths(fields, ()))
    source = BytesIO(path.read_bytes().removeprefix(BOM.encode())) if head.has_bom else glob.escape(str(path))

    def scan(wanted: Sequence[str]) -> pl.LazyFrame:
        frame = pl.scan_ndjson(source, schema=_schema([found[column] for column in wanted]), row_index_name="row")
        return frame.select("row", *(_nested_value(found[column]).str.strip_chars().alias(column) for column in wanted))

    return LogTable(
        "JSON lines",
        tuple(found),
        scan,
        line_of=lambda row: _line_of_object(path, row),
        damage=lambda: _damaged_object(path),
    )


def _paths(fields: dict[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the name of each column, and the keys that lead to it."""
    for key, value in fields.items():
        keys = (*above, key)
        if isinstance(value, dict):
            yield from _paths(value, keys)
        else:
            yield ".".join(keys), keys


def _schema(paths: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    """Return the schema with a text at each of these paths."""
    below: dict[str, list[tuple[str, ...]]] = {}
    for path in paths:
        below.setdefault(path[0], []).append(path[1:])
    return {key: pl.Struct(_schema(rest)) if all(rest) else pl.String for key, rest in below.items()}


def _nested_value(keys: tuple[str, ...]) -> pl.Expr:
    value = pl.col(keys[0])
    for key in keys[1:]:
        value = value.struct.field(key)
    return value


def _line_of_cells(path: Path, separator: str, header: int, row: int) -> int:
    """Return the line on which a row ends; `row` counts from 0 below the header, with blank lines."""
    reader = csv.reader(iter_lines(path, skip=header), delimiter=separator)
    for count, _ in enumerate(reader):
        if count == row:
            break
    return header + reader.line_num


def _line_of_object(path: Path, row: int) -> int:
    filled = (number for number, line in enumerate(iter_lines(path), start=1) if line.strip())
    return next((number for count, number in enumerate(filled) if count == row), row + 1)


def _damaged_cells(path: Path, separator: str, header: int, columns: int) -> SpecError | None:
    reader = csv.reader(iter_lines(path, skip=header), delimiter=separator)
    try:
        for cells in reader:
            if len(cells) > columns:
                message = f"has {len(cells)} cells, but the header names {columns} columns"
                return SpecError(message, f"line {header + reader.line_num}", path)
    except csv.Error as error:
        return SpecError(f"not valid CSV: {error}", f"line {header + reader.line_num}", path)
    return None


def _damaged_object(path: Path) -> SpecError | None:
    for number, line in enumerate(iter_lines(path), start=1):
        if line.strip() and not isinstance(_object_in(line), dict):
            return SpecError(NO_OBJECT, f"line {number}", path)
    return None


def iter_lines(path: Path, skip: int = 0) -> Iterator[str]:
    """Yield the lines of a text file, which may be compressed, after the first `skip`; only line feeds end a line."""
    lines = scan_lines(path).select("line").slice(skip).collect()["line"]
    return (f"{(line or '').replace(CARRIAGE_RETURN, ' ')}\n" for line in lines)
