"""write_atomically: every file that adaptwin writes, whole or not at all."""

import errno
import os
import re
import stat
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from adaptwin.errors import SpecError
from adaptwin.interruption import outputs

_OPEN_FILE = re.compile(r"/dev/(?:stdin|stdout|stderr|fd/(\d+))|/proc/self/fd/(\d+)")
_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Write `content` to `path` as a whole or not at all.

    The content goes to a temporary file in the same folder, which then takes the place of `path`. An existing file
    keeps its mode and, where the system allows it, its owner; a new one gets the mode that the umask asks for. A link
    stays a link: the file that it points to is written. Pipes, devices and files that are open already, such as
    ``/dev/stdout``, are written through. So is a file that cannot be replaced, because its folder is not writable or
    because it is mounted by itself.

    Raises:
        SpecError: The file cannot be written.
    """
    try:
        data = content.encode() if isinstance(content, str) else content
        _put(str(path), data)
    except OSError as error:
        raise SpecError(f"cannot be written: {error.strerror}", file=path) from None


def _put(path: str, data: bytes) -> None:
    target = os.path.realpath(path)
    if (number := open_file(path)) is not None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        with open(os.dup(number), "wb") as file:
            file.write(data)
    elif is_written_through(target):
        _write_in_place(target, data)
    else:
        _replace(target, data, path)
        return
    outputs.note(path)


def _replace(target: str, data: bytes, named: str) -> None:
    """Write a temporary file, and let it take the place of the target."""
    before = state_of(target)
    if before and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    temporary = temporary_beside(target)
    try:
        with new_file(temporary, before) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with outputs.taking_place:
            os.replace(temporary, target)
            outputs.note(named)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if not before or not isinstance(error, OSError) or not _needs_place(error):
            raise
        _write_in_place(target, data)
        outputs.note(named)
    finally:
        outputs.temporary.discard(temporary)


def temporary_beside(target: str) -> str:
    """Return the path of a new temporary file beside a file; it is removed if the process is told to end."""
    temporary = os.path.join(os.path.dirname(target), f".adaptwin-{uuid.uuid4().hex[:12]}.tmp")
    outputs.temporary.add(temporary)
    return temporary


def new_file(path: str, before: os.stat_result | None) -> BinaryIO:
    """Open a new file with owner and mode of the file that it will replace, or with those of any new file."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o600 if before else 0o666)
    if before and hasattr(os, "fchown"):
        with suppress(OSError):
            os.fchown(descriptor, before.st_uid, before.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(before.st_mode) & 0o777)
    return open(descriptor, "wb")


def _write_in_place(target: str, data: bytes) -> None:
    with open(os.open(target, os.O_WRONLY | os.O_TRUNC | getattr(os, "O_BINARY", 0)), "wb") as file:
        file.write(data)


def _needs_place(error: OSError) -> bool:
    """Whether a file may still be writable in place: no new file is allowed beside it, or it is mounted by itself."""
    return error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EXDEV)


def is_written_through(target: str) -> bool:
    """Whether the target exists and is neither a file nor a folder."""
    found = state_of(target)
    return found is not None and not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode)


def state_of(target: str) -> os.stat_result | None:
    """Return the state of a file, or None if there is none that can be reached."""
    try:
        return os.stat(target)
    except OSError:
        return None


def open_file(path: str | Path) -> int | None:
    """Return the number of the open file that a path such as ``/dev/stdout`` stands for, or None for other paths."""
    match = _OPEN_FILE.fullmatch(str(path))
    if not match:
        return None
    return _STANDARD[str(path)] if str(path) in _STANDARD else int(match[1] or match[2])
