"""require_writable: what can be known about files to write before the work for them begins."""

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from adaptwin.errors import SpecError
from adaptwin.interruption import outputs
from adaptwin.writing import is_written_through, new_file, open_file, state_of, temporary_beside

_TRIAL_BYTES = 1 << 16  # that must have space


def require_writable(*paths: str | Path | None, inputs: Iterable[str | Path] = ()) -> None:
    """Raise `SpecError` if a file cannot be written, or would replace an input or another output.

    Commands call it first, so that work does not start in vain. Two paths are the same file if they are links to it, or
    if one leads through a link. The folder must be writable and have space.

    Args:
        paths: The files to write; None is skipped.
        inputs: Files and folders that the same command reads; those that do not exist are skipped.
    """
    wanted = [path for path in paths if path]
    require_distinct(*wanted, inputs=inputs)
    for path in wanted:
        try:
            _try(path)
        except OSError as error:
            raise SpecError(f"cannot be written: {_why_not(path, error)}", file=path) from None


def require_distinct(*paths: str | Path | None, inputs: Iterable[str | Path] = ()) -> None:
    """Raise `SpecError` if a file to write is one of the inputs, or another file to write."""
    wanted = [path for path in paths if path and not _is_device(path)]
    seen: dict[object, str] = {}
    if any(os.path.exists(path) for path in wanted):  # a new file is no input
        seen = {_identity(path): "an input" for path in inputs if os.path.exists(path)}
    for path in wanted:
        identity = _identity(path)
        if before := seen.get(identity):
            raise SpecError(f"cannot be written: it is {before} of the same command", file=path)
        seen[identity] = "another output"


def _try(path: str | Path) -> None:
    """Raise `OSError` if the file cannot be written now, or its folder has no space."""
    target = os.path.realpath(path)
    if open_file(path) is not None or is_written_through(target):
        return
    if os.path.isdir(target):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    with suppress(FileNotFoundError):
        os.stat(target)
        if not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if not os.access(os.path.dirname(target), os.W_OK):
            return  # it is written in place
    trial = temporary_beside(target)
    try:
        with new_file(trial, None) as file:
            file.write(bytes(_TRIAL_BYTES))
            file.flush()
            os.fsync(file.fileno())
    finally:
        with suppress(OSError):
            os.unlink(trial)
        outputs.temporary.discard(trial)


def _why_not(path: str | Path, error: OSError) -> str:
    """Say why a file cannot be written; the folder is most often the reason."""
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder) or (not os.path.exists(path) and not os.access(folder, os.W_OK)):
        return "its folder does not exist or is not writable"
    return "it is a folder" if isinstance(error, IsADirectoryError) else str(error.strerror)


def _identity(path: str | Path) -> object:
    """What two paths to the same file have in common, whether it exists or not."""
    if (number := open_file(path)) is not None:
        return _identity_of(os.fstat(number)) if _is_open(number) else number
    found = state_of(os.path.realpath(path))
    return _identity_of(found) if found else os.path.realpath(path)


def _identity_of(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _is_device(path: str | Path) -> bool:
    """Whether anything may be written there any number of times, as to ``/dev/null``."""
    found = state_of(os.path.realpath(path)) if open_file(path) is None else None
    return found is not None and stat.S_ISCHR(found.st_mode)
