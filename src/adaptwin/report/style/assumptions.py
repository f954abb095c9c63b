"""What figures assume, and where they are extrapolated: sentences, and paragraphs for the terminal."""

from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.text import Text

from adaptwin.report.style.words import number
from adaptwin.twin.extrapolation import Extrapolation


def assumed_sentence(assumptions: Sequence[str]) -> str:
    """Return what the figures assume as one sentence; empty if nothing is known."""
    return f"Assumes: {'; '.join(assumptions)}." if assumptions else ""


def extrapolated_sentence(extrapolations: Iterable[Extrapolation], where: str = "") -> str:
    """Return how servers differ from the measured ones as one sentence; empty if they do not.

    Differences of several servers in one quantity are joined to a range. `where` says which servers differ.
    """
    values: dict[tuple[str, str, str], list[float]] = {}
    for each in extrapolations:
        found = values.setdefault((each.subject, each.unit, each.measured), [])
        if each.value is not None:
            found.append(each.value)
    clauses = [
        f"{subject}{_range_of(found)}{unit}{f' (measured: {measured})' if measured else ''}"
        for (subject, unit, measured), found in values.items()
    ]
    return f"Extrapolated{where}, without an interval for real GPUs: {'; '.join(clauses)}." if clauses else ""


def _range_of(values: list[float]) -> str:
    shown = list(dict.fromkeys(map(number, sorted(values))))
    return f" {shown[0]} to {shown[-1]}" if len(shown) > 1 else f" {shown[0]}" if shown else ""


def assumption_lines(assumptions: Sequence[str], extrapolated: str) -> list[RenderableType]:
    """Return both sentences as paragraphs for the terminal; `extrapolated` is that of `extrapolated_sentence`."""
    assumed = assumed_sentence(assumptions)
    said = ((extrapolated, "yellow"), (assumed, "dim"))
    return [Text(f"\n{sentence}", style=style) for sentence, style in said if sentence]
