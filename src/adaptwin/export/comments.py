"""Comments of exported files: lines in which names are data, whatever characters they have."""

from collections.abc import Iterable

from adaptwin.visible import visible


def comment(text: str) -> str:
    """Return a comment of one line."""
    return f"# {visible(text)}"


def comments(lines: Iterable[str]) -> str:
    """Return comments, a line each, with a line break after each."""
    return "".join(f"{comment(line)}\n" for line in lines)
