"""CSV rows: a file read row by row, where every complaint names file, line and column."""

import csv
import io
import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from adaptwin.errors import SpecError
from adaptwin.file_kinds import FileKind, recognised
from adaptwin.spec import read_text


class CsvRow(NamedTuple):
    """One row: its cells by column, empty ones left out, and where it stands."""

    cells: dict[str, str]
    line: int
    file: str | Path

    def text(self, column: str) -> str:
        """The cell's text; raises `SpecError` when it is empty."""
        if column not in self.cells:
            raise self.wrong(column, "missing")
        return self.cells[column]

    def number(self, column: str) -> float:
        """The cell as a finite number."""
        text = self.text(column)
        try:
            value = float(text)
        except ValueError:
            raise self.wrong(column, f"{text!r} is not a number") from None
        if not math.isfinite(value):
            raise self.wrong(column, f"{text!r} is not a finite number")
        return value

    def whole(self, column: str) -> int:
        """The cell as a whole number; 8.0 is one."""
        value = self.number(column)
        if not value.is_integer():
            raise self.wrong(column, f"{self.cells[column]!r} is not a whole number")
        return int(value)

    def wrong(self, column: str, message: str) -> SpecError:
        """The error that says `message` of this row's cell."""
        return SpecError(message, f"line {self.line}: {column}", self.file)


class CsvRows(NamedTuple):
    """A CSV file: the columns its header names, and its rows, read once."""

    columns: tuple[str, ...]
    rows: Iterator[CsvRow]
    file: str | Path

    def require(
        self, needed: Collection[str], optional: Collection[str] | None = None, *, kind: FileKind | None = None
    ) -> Iterator[CsvRow]:
        """The rows, when the header names all of `needed` and, if `optional` is given, nothing beyond it.

        A file of another kind than `kind`, where that is given, is recognised.
        """
        for column in needed:
            if column not in self.columns:
                message = f"missing column (needed: {','.join(needed)}; found: {','.join(self.columns)})"
                error = SpecError(message, column, self.file)
                raise recognised(error, self.file, kind) if kind else error
        for column in self.columns:
            if optional is not None and column not in {*needed, *optional}:
                raise SpecError(f"unknown column (allowed: {','.join((*needed, *optional))})", column, self.file)
        return self.rows


def read_rows(path: str | Path) -> CsvRows:
    """Open a CSV file with a header; blank lines are skipped, a byte order mark is ignored."""
    reader = csv.reader(io.StringIO(read_text(path).removeprefix("\ufeff")), skipinitialspace=True)
    lines = _filled_lines(reader, path)
    header = next(lines, None)
    if header is None:
        raise SpecError("the file is empty", file=path)
    columns = tuple(cell.strip() for cell in header[1])
    twice = next((column for column in columns if columns.count(column) > 1), None)
    if twice is not None:
        raise SpecError(f"column {twice!r} stands twice", f"line {header[0]}", path)
    return CsvRows(columns, _rows(columns, lines, path), path)


def _filled_lines(reader: Iterator[list[str]], path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every line that is not blank."""
    line = 0
    try:
        for cells in reader:
            line = reader.line_num  # type: ignore[attr-defined]
            if any(cell.strip() for cell in cells):
                yield line, cells
    except csv.Error as error:
        raise SpecError(f"not valid CSV: {error}", f"line {line + 1}", path) from None


def _rows(columns: tuple[str, ...], lines: Iterator[tuple[int, list[str]]], path: str | Path) -> Iterator[CsvRow]:
    for line, cells in lines:
        if len(cells) > len(columns):
            message = f"has {len(cells)} cells, but the header names {len(columns)} columns"
            raise SpecError(message, f"line {line}", path)
        filled = {column: text for column, cell in zip(columns, cells, strict=False) if (text := cell.strip())}
        yield CsvRow(filled, line, path)
