"""Log files: the files that make up a log, their compression, and how each of them begins."""

import gzip
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from adaptwin.errors import SpecError
from adaptwin.file_kinds import TRACE, WrongKind, kinds_of
from adaptwin.plain_data import BOM

COMPRESSED = (".gz", ".zst")
ENDINGS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".log", ".parquet")
HEAD_BYTES = 1 << 18
HEAD_LINES = 200
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_UNUSED = "\x1e"  # a separator that no line has, so that a line is one cell


class FoundFiles(NamedTuple):
    """The files of a log, and what was not read in their folders."""

    files: tuple[Path, ...]
    notes: tuple[str, ...]


def log_files(places: Iterable[str | Path]) -> FoundFiles:
    """Return the files that are named, and the logs in the folders that are named, each once, sorted by path.

    Of a folder, files with the `ENDINGS` of logs count, compressed or not. A compressed copy beside its original is
    left out. Raises `SpecError` for a missing file and for a folder without logs.
    """
    found: dict[Path, Path] = {}
    notes: list[str] = []
    for place in map(Path, places):
        inside = [place]
        if place.is_dir():
            inside, copies = _logs_in(place)
            notes += [f"{copy} is the compressed copy of a file beside it" for copy in copies]
        found.update({path.resolve(): path for path in inside})
    if not found:
        raise SpecError("no log is given", "logs")
    return FoundFiles(tuple(found[path] for path in sorted(found)), tuple(notes))


def _logs_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the logs in a folder, and the compressed copies of some of them; raises `SpecError`."""
    if kinds := kinds_of(folder):
        raise WrongKind(kinds[0], TRACE, folder)
    paths = [path for path in sorted(folder.iterdir()) if path.is_file() and _is_named_as_log(path.name)]
    if not paths:
        raise SpecError(f"no file in this folder ends in {', '.join(ENDINGS)}, or in .gz or .zst after it", file=folder)
    copies = [path for path in paths if path.suffix in COMPRESSED and path.with_suffix("") in paths]
    return [path for path in paths if path not in copies], copies


def _is_named_as_log(name: str) -> bool:
    unpacked = next((name.removesuffix(ending) for ending in COMPRESSED if name.endswith(ending)), name)
    return unpacked.lower().endswith(ENDINGS) and not name.startswith(".")


class FileHead(NamedTuple):
    """How a file begins: whole lines, without a byte order mark."""

    lines: tuple[str, ...]
    has_bom: bool
    is_parquet: bool


def head_of(path: Path) -> FileHead:
    """Return how a file begins; raises `SpecError` when it cannot be read, or is not text in UTF-8."""
    try:
        if path.exists() and not path.is_file():
            raise SpecError("is not a file that can be read twice: write it to one first", file=path)
        with path.open("rb") as file:
            beginning = file.read(HEAD_BYTES)
        if beginning.startswith(_ZSTD):
            return _text_head(_first_lines_of(path).encode(), path)
        if beginning.startswith(_GZIP):
            with gzip.open(path) as unpacked:
                beginning = unpacked.read(HEAD_BYTES)
    except FileNotFoundError:
        raise SpecError("no such file", file=path) from None
    except (OSError, EOFError, zlib.error) as error:
        raise SpecError(f"cannot be read: {getattr(error, 'strerror', None) or error}", file=path) from None
    return FileHead((), False, True) if beginning.startswith(b"PAR1") else _text_head(beginning, path)


def _text_head(beginning: bytes, path: Path) -> FileHead:
    whole = beginning if len(beginning) < HEAD_BYTES or b"\n" not in beginning else beginning.rpartition(b"\n")[0]
    try:
        text = whole.decode("utf-8")
    except UnicodeDecodeError as error:
        if whole.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise SpecError("cannot be read: it is text in UTF-16; save it as UTF-8", file=path) from None
        raise SpecError(f"is not text in UTF-8 ({error.reason} at byte {error.start})", file=path) from None
    if "\x00" in text:
        raise SpecError("cannot be read: NUL characters, so this is no text in UTF-8", file=path)
    lines = text.removeprefix(BOM).replace("\r\n", "\n").split("\n")[:HEAD_LINES]
    return FileHead(tuple(lines), text.startswith(BOM), False)


def _first_lines_of(path: Path) -> str:
    try:
        lines: Sequence[str] = scan_lines(path).head(HEAD_LINES).collect()["line"].fill_null("").to_list()
    except pl.exceptions.PolarsError as error:
        raise SpecError(f"cannot be read: {error}", file=path) from None
    return "\n".join(lines)


def scan_lines(path: Path) -> pl.LazyFrame:
    """Return the lines of a text file, which may be compressed: ``row`` from 0, and ``line``."""
    return pl.scan_csv(
        path,
        glob=False,
        has_header=False,
        separator=_UNUSED,
        quote_char=None,
        new_columns=["line"],
        infer_schema=False,
        row_index_name="row",
    )
