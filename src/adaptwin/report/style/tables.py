"""The style that all terminal tables share."""

from typing import TYPE_CHECKING

from rich import box

from adaptwin.report.style.terminal import Table, Text

if TYPE_CHECKING:
    from adaptwin.twin.run import Grade

_GRADE_STYLES: "dict[Grade, str]" = {
    "starved": "bold red",
    "backlogged": "red",
    "slow": "yellow",
    "unknown": "magenta",
    "sluggish": "cyan",
    "ok": "green",
}


def heading(text: str) -> Text:
    """Return a bold line that goes above a table."""
    return Text(f"\n{text}", style="bold")


def plain_table() -> Table:
    """Return an empty table without edges or columns."""
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")


def add_numbers(table: Table, *headers: str) -> None:
    """Add columns of numbers, which are right-aligned and never wrapped."""
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)


def grade_text(grade: "Grade") -> Text:
    """Return the grade in its colour."""
    return Text(grade, style=_GRADE_STYLES[grade])
