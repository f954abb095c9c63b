"""Links written as text: what copies without symbolic links leave of those in a cache of the Hugging Face hub."""

import re
import stat
from pathlib import Path

_LINK = re.compile(rb"(\.\./){2,8}blobs/[\w.-]{1,200}\s*")
_LONGEST_LINK = 300  # bytes


def followed(path: Path) -> Path:
    """Return the file that a link names which is written as text, such as ``../../blobs/abc``; else the path itself.

    Only files in the folder ``blobs`` of the same repository are followed.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LONGEST_LINK:
            return path
        text = path.read_bytes()
    except OSError:
        return path
    if not _LINK.fullmatch(text):
        return path
    target = path.parent / text.decode().strip()
    return target if target.is_file() else path


def is_text_link(path: Path) -> bool:
    """Return whether a file is a link that is written as text."""
    return followed(path) != path
