"""CSV rows: a file read row by row, with errors that name file, line and column."""

import csv
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from adaptwin.errors import SpecError, did_you_mean
from adaptwin.file_kinds import FileKind, recognised
from adaptwin.plain_data import BOM, is_number
from adaptwin.quantities import parse_number
from adaptwin.spec import read_text
from adaptwin.visible import quoted


class CsvRow(NamedTuple):
    """One row of a CSV file: its non-empty cells by column, its line, and the file."""

    cells: dict[str, str]
    line: int
    file: str | Path
    place: str = "line"  # what `line` counts

    def text(self, column: str) -> str:
        """Return the text of a cell; raises `SpecError` when it is empty."""
        if column not in self.cells:
            raise self.wrong(column, "missing")
        return self.cells[column]

    def number(self, column: str) -> float:
        """Return a cell as a finite number; raises `SpecError` when it is none."""
        text = self.text(column)
        try:
            value = parse_number(text)
        except ValueError as error:
            raise self.wrong(column, str(error)) from None
        if not math.isfinite(value):
            raise self.wrong(column, f"{text!r} is not a finite number")
        return value

    def whole(self, column: str) -> int:
        """Return a cell as a whole number, such as 8 or 8.0; raises `SpecError` when it is none."""
        value = self.number(column)
        if not value.is_integer():
            raise self.wrong(column, f"{self.cells[column]!r} is not a whole number")
        return int(value)

    def wrong(self, column: str, message: str) -> SpecError:
        """Return a `SpecError` with this message that names file, line and column."""
        return SpecError(message, f"{self.place} {self.line}: {column}", self.file)


class CsvRows(NamedTuple):
    """A CSV file: the columns that its header names, and its rows, which can be iterated over once."""

    columns: tuple[str, ...]
    rows: Iterator[CsvRow]
    file: str | Path
    kind: FileKind | None  # what the file should be, if it has a name

    def at_most(self, count: int) -> "CsvRows":
        """Return the file with rows that end in a `SpecError` beyond so many."""
        return self._replace(rows=_not_more(self.rows, count))

    def renamed(self, names: Mapping[str, str]) -> "CsvRows":
        """Return the file with other names for some columns; raises `SpecError` if it has one under both names."""
        for former, now in names.items():
            if former in self.columns and now in self.columns:
                raise SpecError(f"is the former name of {now}: give one of these columns", former, self.file)
        if not set(names).intersection(self.columns):
            return self
        rows = (
            row._replace(cells={names.get(column, column): cell for column, cell in row.cells.items()})
            for row in self.rows
        )
        return self._replace(columns=tuple(names.get(column, column) for column in self.columns), rows=rows)

    def require(self, needed: Collection[str], optional: Collection[str] | None = None) -> Iterator[CsvRow]:
        """Return the rows; raises `SpecError` for a missing column, or for an unknown one where `optional` is given."""
        for column in needed:
            if column not in self.columns:
                hint = _hint_of_header(column, self.columns)
                message = f"missing column (needed: {','.join(needed)}; found: {','.join(self.columns)}){hint}"
                error = SpecError(message, column, self.file)
                raise recognised(error, self.file, self.kind) if self.kind else error
        for column in self.columns:
            if optional is not None and column not in {*needed, *optional}:
                allowed = (*needed, *optional)
                message = f"unknown column (allowed: {','.join(allowed)}){did_you_mean(column, allowed)}"
                raise SpecError(message, column, self.file)
        return self.rows


def _hint_of_header(column: str, found: Collection[str]) -> str:
    """Say what may be meant where a column is missing: another spelling of its name, or a file without a header."""
    if meant := next((other for other in found if other.lower() == column), None):
        return f"; rename {quoted(meant)} to {column}"
    return "; the first line must name the columns" if any(map(is_number, found)) else ""


def _not_more(rows: Iterator[CsvRow], count: int) -> Iterator[CsvRow]:
    for number, row in enumerate(rows):
        if number == count:
            raise SpecError(f"too many rows (at most {count:,})", f"line {row.line}", row.file)
        yield row


def read_rows(path: str | Path, kind: FileKind | None = None) -> CsvRows:
    """Read a CSV file with a header; blank lines and a byte order mark are skipped. Raises `SpecError`.

    If `kind` is given, a file of another kind is recognised.
    """
    try:
        return _read(path, kind)
    except SpecError as error:
        raise (recognised(error, path, kind) if kind else error) from None


def _read(path: str | Path, kind: FileKind | None) -> CsvRows:
    text = read_text(path).removeprefix(BOM)
    reader = csv.reader(_lines_of(text), delimiter=_delimiter_of(text), skipinitialspace=True, strict=True)
    lines = _filled_lines(reader, path)
    header = next(lines, None)
    if header is None:
        raise SpecError("the file is empty", file=path)
    columns = tuple(cell.strip() for cell in header[1])
    twice = next((column for column in columns if columns.count(column) > 1), None)
    if twice is not None:
        raise SpecError(f"duplicate column {twice!r}", f"line {header[0]}", path)
    return CsvRows(columns, _rows(columns, lines, path), path, kind)


def _lines_of(text: str) -> Iterator[str]:
    """Yield the lines with their line breaks; `io.StringIO` would need four bytes for each character."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _delimiter_of(text: str) -> str:
    """What separates the cells: a comma, or a tab or semicolon where the header has one and no comma."""
    header = text.lstrip("\n").partition("\n")[0]
    return next((delimiter for delimiter in ",\t;" if delimiter in header), ",")


def _filled_lines(reader: Iterator[list[str]], path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of every line that is not blank."""
    line = 0
    try:
        for cells in reader:
            line = reader.line_num  # type: ignore[attr-defined]
            if any(cell.strip() for cell in cells):
                yield line, cells
    except csv.Error as error:
        what = "a quoted cell does not end" if "unexpected end" in str(error) else error
        raise SpecError(f"not valid CSV: {what}", f"line {line + 1}", path) from None


def _rows(columns: tuple[str, ...], lines: Iterator[tuple[int, list[str]]], path: str | Path) -> Iterator[CsvRow]:
    for line, cells in lines:
        if len(cells) > len(columns):
            message = f"has {len(cells)} cells, but the header names {len(columns)} columns"
            raise SpecError(message, f"line {line}", path)
        filled = {column: text for column, cell in zip(columns, cells, strict=False) if (text := cell.strip())}
        yield CsvRow(filled, line, path)
