"""Printing: tables and JSON on stdout, messages on stderr, all with names escaped."""

import json
import sys
from typing import TYPE_CHECKING, Any

from adaptwin.visible import visible, visible_json

if TYPE_CHECKING:
    from rich.console import RenderableType


def show(*parts: "RenderableType") -> None:
    """Print tables and texts on stdout, one below the other."""
    from adaptwin.report.style.terminal import console

    terminal = console()
    for part in parts:
        terminal.print(part, crop=False)


def show_line(text: str) -> None:
    """Print one line on stdout, however long."""
    print(visible(text))


def show_json(data: Any, *, indent: int | None = 1) -> None:
    """Print JSON on stdout, given as text or as plain data."""
    print(visible_json(data if isinstance(data, str) else json.dumps(data, indent=indent, ensure_ascii=False)))


def tell(text: str) -> None:
    """Print one line on stderr."""
    print(visible(text), file=sys.stderr)
