"""line_breaks: where a word that is wider than its column is broken, such as the name of a profile."""

import re
from collections.abc import Iterator

from rich.cells import cell_len, chop_cells

_PARTS_END_WITH = "-/_,:=@"


def line_breaks(text: str, width: int) -> list[int]:
    """Return the offsets at which words wider than `width` cells are broken so that all pieces fit.

    A piece ends with a hyphen, a slash or another sign between the parts of a name; one that has none is full.
    """
    if width < 1:
        return []
    words = re.finditer(r"\S+", text)
    return [word.start() + cut for word in words if cell_len(word[0]) > width for cut in _cuts(word[0], width)]


def _cuts(word: str, width: int) -> Iterator[int]:
    start = 0
    while cell_len(word[start:]) > width:
        full = start + max(1, len(chop_cells(word[start:], width)[0]))
        start = max((at + 1 for at in range(start, full) if word[at] in _PARTS_END_WITH), default=full)
        yield start
