"""file_names: what a report calls files, in as few parts of their paths as tell them apart."""

from collections.abc import Sequence
from pathlib import Path

from adaptwin.errors import SpecError


def file_names(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the shortest end of each path that no other path has; raises `SpecError` for a file given twice."""
    seen: dict[Path, Path] = {}
    for path in paths:
        before = seen.setdefault(path.resolve(), path)
        if before is not path:
            raise SpecError("the file is given twice", file=path)
    return {path: _shortest_end(path, [other for other in paths if other is not path]) for path in paths}


def _shortest_end(path: Path, others: Sequence[Path]) -> str:
    for parts in range(1, len(path.parts)):
        end = path.parts[-parts:]
        if all(other.parts[-parts:] != end for other in others):
            return str(Path(*end))
    return str(path)
