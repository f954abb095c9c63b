"""cache_folders: where machine code may be kept, the preferred folder first."""

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

CHOSEN_FOLDERS = ("ADAPTWIN_CACHE_DIR", "NUMBA_CACHE_DIR")  # variables that name a folder
_BESIDE = "__pycache__"


def cache_folders(source: str | Path) -> Iterator[Path]:
    """Return the folders in which the machine code of a source file may lie; they need not exist or be writable.

    If ``ADAPTWIN_CACHE_DIR`` or ``NUMBA_CACHE_DIR`` names a folder that can be written to, it is the only one.
    Otherwise they are ``__pycache__`` beside the source file, the user's cache folder (``XDG_CACHE_HOME`` or
    ``~/.cache``), and the folder of temporary files. Other users must not have been able to put code into the last
    two, so each must belong to this user alone.
    """
    folder = Path(os.path.abspath(source)).parent
    own_name = f"{folder.name}_{hashlib.blake2b(os.fsencode(folder), digest_size=8).hexdigest()}"
    for variable in CHOSEN_FOLDERS:
        chosen = Path(os.environ.get(variable, ""))
        if chosen.name and is_usable_folder(chosen):
            yield chosen / own_name
            return
    yield folder / _BESIDE
    for root in _folders_of_user():
        if not root.exists() or _is_private(root):
            yield root / own_name


def make_folder(folder: Path) -> None:
    """Make a cache folder and the one above it; raises `OSError` where it cannot.

    Only this user may enter it, unless it lies beside the sources, where all users may read what is in it.
    """
    mode = 0o777 if folder.name == _BESIDE else 0o700
    for each in (folder.parent, folder):
        with suppress(FileExistsError):
            each.mkdir(mode=mode, parents=True)


@lru_cache(maxsize=8)
def is_usable_folder(root: Path) -> bool:
    """Whether this user can write to a folder, which is made if it is missing."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(root, os.W_OK)


def _folders_of_user() -> Iterator[Path]:
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    home = os.path.expanduser("~")
    if os.path.isabs(chosen):
        yield Path(chosen) / "adaptwin"
    elif os.path.isabs(home):  # it is "~" for a user without a home
        yield Path(home) / ".cache" / "adaptwin"
    user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
    with suppress(FileNotFoundError):  # no folder for temporary files is writable
        yield Path(tempfile.gettempdir()) / f"adaptwin{user}"


def _is_private(folder: Path) -> bool:
    """Whether a folder belongs to this user, who alone can write to it."""
    found = folder.lstat()
    is_own = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return stat.S_ISDIR(found.st_mode) and is_own and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
