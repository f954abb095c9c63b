"""Terminals: whether a stream takes colours, and whether lines on it can be drawn again.

``NO_COLOR`` (https://no-color.org) and ``TERM=dumb`` rule out every escape code. ``FORCE_COLOR`` asks for colours where
there is no terminal, such as in the log of a build, but never for codes that move the cursor.
"""

import io
import os
from typing import IO

_NO = ("", "0", "false", "no", "off")
_ASCII = ("ascii", "us-ascii", "ansi_x3.4-1968")
_WITHOUT_CODES = ("dumb", "unknown")  # terminals that obey no escape codes


def takes_colours(stream: IO[str] | None) -> bool:
    """Whether colours, bold and dim may be written to a stream; None is the stream of a program without a console."""
    return stream is not None and not _must_be_plain() and (_colours_are_forced() or stream.isatty())


def take_every_character(stream: IO[str] | None) -> None:
    """Let a stream take characters that its encoding lacks: in UTF-8 if it is ASCII, and else as escapes."""
    if not isinstance(stream, io.TextIOWrapper) or stream.encoding.lower().startswith("utf"):
        return
    if stream.encoding.lower() in _ASCII:
        stream.reconfigure(encoding="utf-8")  # what Python itself does in the locale C
    else:
        stream.reconfigure(errors="backslashreplace")


def can_redraw(stream: IO[str] | None) -> bool:
    """Whether a stream is a terminal on which a progress bar can be drawn."""
    return stream is not None and not _must_be_plain() and stream.isatty()


def _must_be_plain() -> bool:
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "").lower() in _WITHOUT_CODES


def _colours_are_forced() -> bool:
    return os.environ.get("FORCE_COLOR", "").lower() not in _NO
