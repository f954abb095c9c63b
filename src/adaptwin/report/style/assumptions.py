"""What figures assume, and where they are extrapolated: sentences, and paragraphs for the terminal."""

from collections.abc import Iterable, Mapping, Sequence

from rich.console import RenderableType

from adaptwin.report.style.terminal import Text
from adaptwin.twin.extrapolation import Extrapolation

NAMED_GPUS = 4  # more GPUs than this are counted, not named


def assumed_sentence(assumptions: Sequence[str]) -> str:
    """Return what the figures assume as one sentence; empty if nothing is known."""
    return f"Assumes: {'; '.join(assumptions)}." if assumptions else ""


def extrapolated_sentence(found: Mapping[str, Sequence[Extrapolation]], noun: str = "GPU") -> str:
    """Return how servers differ from the measured ones as one sentence; empty if they do not.

    `found` has the differences of every server by its name. Differences of several servers in one quantity are joined
    to a range. A difference that not all servers have names its servers, or counts them under the noun given.
    """
    sentences = []
    for widens, how in ((False, "without an interval for real GPUs"), (True, "with a wider interval for real GPUs")):
        differences: dict[tuple[str, str, str], dict[str, float | None]] = {}
        for server, own in found.items():
            for each in own:
                if each.widens is widens:
                    differences.setdefault((each.subject, each.unit, each.measured), {})[server] = each.value
        clauses = [
            f"{subject}{_range_of(values.values())}{unit}{f' (measured: {measured})' if measured else ''}"
            f"{_where(list(values), len(found), noun)}"
            for (subject, unit, measured), values in differences.items()
        ]
        if clauses:
            sentences.append(f"Extrapolated, {how}: {'; '.join(clauses)}.")
    return " ".join(sentences)


def _range_of(values: Iterable[float | None]) -> str:
    shown = [f"{value:,.0f}" for value in sorted(value for value in values if value is not None)]
    return "" if not shown else f" {shown[0]}" if shown[0] == shown[-1] else f" {shown[0]} to {shown[-1]}"


def _where(servers: Sequence[str], of: int, noun: str) -> str:
    if len(servers) == of:
        return ""
    return f" on {', '.join(servers)}" if len(servers) <= NAMED_GPUS else f" on {len(servers):,} of {of:,} {noun}s"


def assumption_lines(assumptions: Sequence[str], extrapolated: str) -> list[RenderableType]:
    """Return both sentences as paragraphs for the terminal; `extrapolated` is that of `extrapolated_sentence`."""
    assumed = assumed_sentence(assumptions)
    said = ((extrapolated, "yellow"), (assumed, "dim"))
    return [Text(f"\n{sentence}", style=style) for sentence, style in said if sentence]
