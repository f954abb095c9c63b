"""Tables for the terminal, as all our commands draw them."""

from rich import box
from rich.table import Table
from rich.text import Text

_VERDICT_STYLES = {"ok": "green", "slow": "yellow", "backlogged": "red", "starved": "bold red"}


def heading(text: str) -> Text:
    """A line over a table."""
    return Text(f"\n{text}", style="bold")


def plain_table() -> Table:
    """A table without edges; columns are still to be added."""
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")


def add_numbers(table: Table, *headers: str) -> None:
    """Columns of numbers: to the right, and never broken."""
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)


def verdict_text(verdict: str) -> Text:
    """A verdict in its colour."""
    return Text(verdict, style=_VERDICT_STYLES[verdict])
