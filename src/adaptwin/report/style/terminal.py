"""The terminal: the one place where texts of tables and messages are escaped, and where colours are chosen.

Modules that print use these classes instead of those of rich. Names are text: markup such as ``[bold]`` is shown as it
is, and what a terminal would obey or hide is shown as an escape, before widths are computed.
"""

import sys
from typing import Any

import rich.console
import rich.containers
import rich.table
import rich.text

from adaptwin.report.style.line_breaks import line_breaks
from adaptwin.terminals import takes_colours
from adaptwin.visible import visible

LEAST_WIDTH = 80  # columns of a terminal for which tables are made
LINES = "\n"  # the only control character in a text: the break between lines of our own


class Text(rich.text.Text):
    """Styled text with invisible characters as escapes."""

    def __init__(self, text: str = "", style: Any = "", **settings: Any) -> None:
        super().__init__(visible(text, keep=LINES), style, **settings)

    @classmethod
    def assemble(cls, *parts: Any, **settings: Any) -> "Text":
        """Return a text of strings, texts, and pairs of string and style."""
        whole = super().assemble(*parts, **settings)
        assert isinstance(whole, Text)
        return whole

    def append(self, text: rich.text.Text | str, style: Any = None) -> "Text":
        """Add text, with an optional style."""
        super().append(visible(text, keep=LINES) if isinstance(text, str) else text, style)
        return self

    def wrap(self, console: rich.console.Console, width: int, **settings: Any) -> rich.containers.Lines:
        """Return the lines of the text; a name that is wider than a line is broken between its parts."""
        breaks = [] if settings.get("no_wrap") or self.no_wrap else line_breaks(self.plain, width)
        if not breaks:
            return super().wrap(console, width, **settings)
        broken = rich.text.Text(LINES, no_wrap=self.no_wrap).join(self.divide(breaks))
        return broken.wrap(console, width, **settings)


class Table(rich.table.Table):
    """A table whose cells are text, never markup. A terminal of fewer columns than `LEAST_WIDTH` breaks its lines."""

    def __rich_console__(
        self, console: rich.console.Console, options: rich.console.ConsoleOptions
    ) -> rich.console.RenderResult:
        """Yield the table, in columns that can be read."""
        return super().__rich_console__(console, options.update(max_width=max(options.max_width, LEAST_WIDTH)))

    @classmethod
    def grid(cls, *headers: Any, **settings: Any) -> "Table":
        """Return a table without lines or headers."""
        table = super().grid(*headers, **settings)
        assert isinstance(table, Table)
        return table

    def add_row(self, *cells: rich.console.RenderableType | None, **settings: Any) -> None:
        """Add a row of cells."""
        super().add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells), **settings)


def console(*, stderr: bool = False) -> rich.console.Console:
    """Return a console without markup; it writes colours, bold and dim only where the stream takes them."""
    coloured = takes_colours(sys.stderr if stderr else sys.stdout)
    return rich.console.Console(stderr=stderr, markup=False, emoji=False, highlight=False, force_terminal=coloured)
