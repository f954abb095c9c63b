"""Small HTML tables for notebooks: without scripts, and readable on light and dark pages."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from adaptwin.visible import visible

SHOWN_ROWS = 10  # rows of a table; the others are counted
_CELL = "padding:2px 10px;text-align:{};vertical-align:top;border-bottom:1px solid rgba(128,128,128,0.35)"


class HtmlTable(NamedTuple):
    """Rows of text under headers; the first column is a name, the others are numbers."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]  # the first ones, which are shown
    others: str = ""  # what is not shown, such as "and 12 more servers"
    numbers: bool = True  # whether all columns but the first are aligned at the right


def html_view(name: str, facts: Sequence[str], *tables: HtmlTable) -> str:
    """Return a value as HTML: the name of its class, its facts in a line, and tables."""
    line = f"<p><strong>{_html_text(name)}</strong> {_html_text(', '.join(facts))}</p>"
    return f"<div>{line}{''.join(map(_html_table, tables))}</div>"


def line_view(name: str, facts: Sequence[str]) -> str:
    """Return a value in a line: the name of its class, and its facts, with invisible characters as escapes."""
    return f"{name}({', '.join(map(visible, facts))})"


def and_more(every: int, noun: str) -> str:
    """Say how many things a table of the first `SHOWN_ROWS` leaves out; empty if none."""
    left = every - SHOWN_ROWS
    return f"and {left:,} more {noun}{'' if left == 1 else 's'}" if left > 0 else ""


def _html_table(table: HtmlTable) -> str:
    head = "".join(_cell("th", text, place, table) for place, text in enumerate(table.headers))
    body = "".join(
        f"<tr>{''.join(_cell('td', text, place, table) for place, text in enumerate(row))}</tr>" for row in table.rows
    )
    rest = f"<p>{_html_text(table.others)}</p>" if table.others else ""
    above = f"<thead><tr>{head}</tr></thead>" if any(table.headers) else ""
    return f'<table style="border-collapse:collapse;margin:0 0 10px">{above}<tbody>{body}</tbody></table>{rest}'


def _cell(tag: str, text: str, place: int, table: HtmlTable) -> str:
    side = "right" if place and table.numbers else "left"
    return f'<{tag} style="{_CELL.format(side)}">{_html_text(text)}</{tag}>'


def _html_text(text: str) -> str:
    """Return text with HTML escaped, and with invisible characters as escapes."""
    return escape(visible(text))
