"""Pieces of the reference pages in Markdown, as GitHub renders it: prose, table cells, docstrings and links."""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import measured_page

_CODE = re.compile(r"(`[^`]*`)")
_TOGETHER = re.compile(r"`[^`]{1,110}`|\[[^\]]{1,60}\]\(")  # not divided between two lines: literals and links
_SECTIONS = ("Args:", "Raises:")


class Docstring(NamedTuple):
    """A docstring in parts; texts are Markdown."""

    summary: str  # the first paragraph, on one line
    body: str  # everything between the summary and the lists; may be empty
    arguments: list[tuple[str, str]]  # name, meaning
    errors: list[tuple[str, str]]  # class, reason

    @property
    def text(self) -> str:
        """Summary and body, wrapped to the width of the pages."""
        return "\n\n".join(part for part in (paragraph(self.summary), self.body) if part)


def paragraph(text: str) -> str:
    """Wrap a paragraph to the width of the pages, and keep short literals and links on one line."""
    return measured_page.paragraph(_tied(text))


def bullet(text: str) -> str:
    """Wrap a point of a list to the width of the pages, and keep short literals and links on one line."""
    return measured_page.bullet(_tied(text))


def _tied(text: str) -> str:
    """Put a sign that wrapping turns into a space where a line must not end."""
    return _TOGETHER.sub(lambda match: match[0].replace(" ", "\0"), " ".join(text.split()))


def prose(text: str) -> str:
    """Write text as Markdown: literals in single backticks, no angle brackets or stars that mean something else."""
    parts = _CODE.split(text.replace("``", "`"))
    return "".join(part if part.startswith("`") else _escaped(part) for part in parts)


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace(">", "&gt;").replace("*", "\\*")


def code(text: object) -> str:
    """Write text as a literal."""
    return f"`{text}`"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table; a cell may hold a bar or a line break, which would end it."""
    lines = [header, ["---"] * len(header), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines).replace("| --- ", "|---").replace("---| |", "---|")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def anchor(title: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def link(text: str, title: str, page: str = "") -> str:
    """Link to a heading of this page or of another one beside it."""
    return f"[{text}]({page}#{anchor(title)})"


def docstring_of(value: object, linked: Callable[[str], str] = str) -> Docstring:
    """Read the docstring of a function or class, in the Google convention; `linked` adds links to its texts."""

    def written(text: str) -> str:
        return linked(prose(text))

    lines = (inspect.getdoc(value) or "").splitlines()
    starts = [number for number, line in enumerate(lines) if line in _SECTIONS]
    text, first = lines[: min(starts, default=len(lines))], (lines.index("") if "" in lines else len(lines))
    lists = {lines[start]: _entries(lines[start + 1 :], written) for start in starts}
    summary = written(" ".join(line.strip() for line in text[:first]))
    return Docstring(summary, _body(text[first:], written), lists.get("Args:", []), lists.get("Raises:", []))


def _entries(lines: Sequence[str], written: Callable[[str], str]) -> list[tuple[str, str]]:
    """Read the entries of a list of a docstring, up to the first line that is not indented."""
    found: list[tuple[str, str]] = []
    for line in lines:
        if line and not line.startswith(" "):
            break
        if match := re.match(r" {4}(\w+): (.*)", line):
            found.append((match[1], match[2]))
        elif found and line.strip():
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
    return [(name, written(meaning)) for name, meaning in found]


def _body(lines: Sequence[str], written: Callable[[str], str]) -> str:
    """Write the paragraphs, lists and indented formulas that follow a summary."""
    blocks = [list(block) for filled, block in groupby(lines, key=bool) if filled]
    return "\n\n".join(_block(block, written) for block in blocks)


def _block(lines: list[str], written: Callable[[str], str]) -> str:
    if lines[0].startswith("    "):
        return "\n".join(lines)  # a formula: Markdown shows it as it is
    points = list(_points(lines))
    if lines[0].startswith("- "):
        return "\n".join(bullet(written(point)) for point in points)
    return paragraph(written(" ".join(points)))


def _points(lines: list[str]) -> Iterator[str]:
    """Join the lines of each point of a list; a paragraph is a single point."""
    point = ""
    for line in lines:
        if line.startswith("- ") and point:
            yield point
            point = ""
        point = f"{point} {line.removeprefix('- ').strip()}".strip()
    yield point
