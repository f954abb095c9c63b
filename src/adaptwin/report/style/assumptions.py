"""What figures assume, and where they are extrapolated: sentences, and paragraphs for the terminal."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text


def assumed_sentence(assumptions: Sequence[str]) -> str:
    """Return what the figures assume as one sentence; empty if nothing is known."""
    return f"Assumes: {'; '.join(assumptions)}." if assumptions else ""


def extrapolated_sentence(extrapolations: Sequence[str]) -> str:
    """Return where the figures lie outside what was measured, as one sentence; empty if nowhere."""
    return f"Not backed by measurements: {'; '.join(extrapolations)}." if extrapolations else ""


def assumption_lines(assumptions: Sequence[str], extrapolations: Sequence[str]) -> list[RenderableType]:
    """Return both sentences as paragraphs for the terminal."""
    lines: list[RenderableType] = []
    if extrapolations:
        lines.append(Text(f"\n{extrapolated_sentence(extrapolations)}", style="yellow"))
    if assumptions:
        lines.append(Text(f"\n{assumed_sentence(assumptions)}", style="dim"))
    return lines
