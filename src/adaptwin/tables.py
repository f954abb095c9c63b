"""Tables from Parquet and CSV files: within bounds, with errors that name the file."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import polars as pl

from adaptwin.errors import SpecError

Read = TypeVar("Read")
MOST_CELLS = 50_000_000  # cells of a table, 400 MB of numbers
MOST_CSV_BYTES = 1 << 28  # of a CSV file
_ENDS = b"PAR1"  # first and last bytes of a Parquet file
UNREADABLE = (  # what reading a damaged table may raise
    OSError,
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    ValueError,
    TypeError,
    MemoryError,
)


def read_parquet(path: Path) -> pl.DataFrame:
    """Read a table from a Parquet file; raises `SpecError` if it is damaged or too large."""
    _require_parquet(path)
    schema = _attempted(path, "cannot be read as Parquet", lambda: _of_file(path, pl.read_parquet_schema))
    rows = _attempted(
        path, "cannot be read as Parquet", lambda: pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()
    )
    if rows * max(1, len(schema)) > MOST_CELLS:
        raise SpecError(f"holds {rows:,} rows of {len(schema)} columns: at most {MOST_CELLS:,} values", file=path)
    return _attempted(path, "cannot be read as Parquet", lambda: pl.read_parquet(path, glob=False))


def read_parquet_metadata(path: Path) -> dict[str, str]:
    """Read the texts that a Parquet file was written with; raises `SpecError` if it is damaged."""
    _require_parquet(path)
    return _attempted(path, "cannot be read as Parquet", lambda: _of_file(path, pl.read_parquet_metadata))


def _of_file(path: Path, read: Callable[[BinaryIO], Read]) -> Read:
    """Read something of a file, whose name may hold brackets and stars."""
    with path.open("rb") as file:
        return read(file)


def read_csv_table(path: Path) -> pl.DataFrame:
    """Read a table from a CSV file with a header; raises `SpecError` if it is none or too large."""
    if _attempted(path, "cannot be read", lambda: path.stat().st_size) > MOST_CSV_BYTES:
        raise SpecError(f"cannot be read: it is too large (at most {MOST_CSV_BYTES >> 20} MiB)", file=path)
    return _attempted(path, "cannot be read", lambda: pl.read_csv(path, glob=False))


def _require_parquet(path: Path) -> None:
    """Raise `SpecError` for a file that does not begin, end and have a footer as Parquet files do."""
    content_ends = _attempted(path, "cannot be read as Parquet", lambda: _ends_of(path))
    if content_ends is None:
        raise SpecError("cannot be read as Parquet: it is another file, or damaged", file=path)


def _ends_of(path: Path) -> int | None:
    """The size of the footer of a Parquet file; None if the file is none."""
    with path.open("rb") as file:
        begins = file.read(len(_ENDS)) == _ENDS
        size = file.seek(0, 2)
        if not begins or size < 12:
            return None
        file.seek(-8, 2)
        footer, ends = int.from_bytes(file.read(4), "little"), file.read(4) == _ENDS
    return footer if ends and 0 < footer <= size - 12 else None


def _attempted(path: Path, what: str, read: Callable[[], Read]) -> Read:
    try:
        with quiet_errors():
            return read()
    except UNREADABLE as error:
        raise SpecError(f"{what}: {reason_of(error)}", file=path) from None


def reason_of(error: BaseException) -> str:
    """Return why a table cannot be read, in a line."""
    if isinstance(error, pl.exceptions.PanicException):
        return "it is damaged"
    return getattr(error, "strerror", None) or str(error).partition("\n")[0]


@contextmanager
def quiet_errors() -> Iterator[None]:
    """Write nothing to the error stream inside the block: Polars writes a backtrace for some damaged files."""
    try:
        kept = os.dup(2)
    except OSError:  # there is no error stream
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
