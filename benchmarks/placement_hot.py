"""A very hot adapter among mild ones: what servers with merged weights save, and what it costs to undo them."""

from collections.abc import Sequence

from measured_page import counted, paragraph, section
from placement_judge import Result

NOTE = """A hundred adapters of ranks 8 and 16 have 10 requests/s together, and one of rank 16 has as many as the table
says. With `allow_merged`, the planner may give it servers of its own with its weights merged into those of the model.
Such a server needs no slots and none of the LoRA kernels, but it can serve nothing else: to undo it, the server must
restart, and if the adapter is then served as a LoRA adapter again, the fleet needs the GPUs of the plan without merged
weights. Latencies are those of the verified plan: mean ITL over all servers, and p99 of ITL and of TTFT of the worst
server."""

HEADER = [
    "hot adapter",
    "merging",
    "lower bound",
    "GPUs",
    "of these with merged weights",
    "mean ITL, ms",
    "p99 of ITL, ms",
    "p99 of TTFT, s",
    "to undo it",
]


def hot(without: Sequence[Result], allowed: Sequence[Result]) -> str:
    """Return the section about very hot adapters; the results are by population, without merging and with it."""
    body = []
    for plain, merged in zip(without, allowed, strict=True):
        body += [_row(plain, "not allowed", ""), _row(merged, "allowed", _undone(plain, merged))]
    pairs = list(zip(without, allowed, strict=True))
    gains = [f"{plain.gpus} GPUs to {merged.gpus}" for plain, merged in pairs if merged.merged]
    said = f"Merging is used on {len(gains)} of the {counted(len(pairs), 'population')}"
    summary = f"{said}: {', '.join(gains)}." if gains else f"{said}: it saves no GPU."
    return section("A very hot adapter", HEADER, body, f"{paragraph(NOTE)}\n\n{paragraph(summary)}")


def _row(result: Result, merging: str, undone: str) -> list[str]:
    gpus = str(result.gpus) if result.holds else f"**{result.gpus}**"
    latencies = f"{1e3 * result.itl_mean:.0f}", f"{1e3 * result.itl_p99:.0f}", f"{result.ttft_p99:.1f}"
    return [result.population, merging, str(result.bound), gpus, str(result.merged), *latencies, undone]


def _undone(plain: Result, merged: Result) -> str:
    if not merged.merged:
        return "nothing"
    more = plain.gpus - merged.gpus
    return f"{counted(merged.merged, 'restart')}, {counted(more, 'more GPU')}"
