"""The figures of a comparison in words: titles, values with their units, errors, and verdicts."""

from collections.abc import Collection, Sequence

from adaptwin.live.comparison import ComparedServer, Comparison
from adaptwin.live.observation import COMPARED_FIGURES
from adaptwin.report.style.words import NOTHING, count, duration, number, signed_percent
from adaptwin.twin.run import Grade

FIGURE_TITLES = {
    "throughput": "Throughput, tok/s",
    "request_rate": "Requests/s finished",
    "ttft.mean": "TTFT mean",
    "ttft.p50": "TTFT p50",
    "ttft.p99": "TTFT p99",
    "itl.mean": "ITL mean",
    "itl.p99": "ITL p99",
    "tpot.mean": "TPOT mean",
    "e2e.p50": "E2E p50",
    "e2e.p99": "E2E p99",
    "mean_running": "Running, mean",
    "mean_waiting": "Waiting, mean",
    "preemptions": "Preemptions",
    "kv_cache_tokens": "KV cache, tokens",
}


def figure_text(name: str, value: float | None) -> str:
    """Return the value of a figure, with its unit if it is a latency."""
    if value is None:
        return NOTHING
    return duration(value) if is_latency(name) else number(value)


def is_latency(name: str) -> bool:
    """Return whether a figure is in seconds."""
    return name.startswith(("ttft", "itl", "tpot", "e2e"))


def error_text_of(error: float | None) -> str:
    """Return an error with its sign, in per cent."""
    return NOTHING if error is None else signed_percent(error)


def spread_text(spread: float | None) -> str:
    """Return the spread of repeats in per cent."""
    return NOTHING if spread is None else f"{100.0 * spread:.1f} %"


def grades_text(grades: Sequence[Grade]) -> str:
    """Return the verdicts of repeats: ``ok``, or ``backlogged or ok`` where they differ."""
    return " or ".join(grades) or NOTHING


def agreement_text(measured: Collection[object], twin: object) -> str:
    """Return whether the twin's answer is one of those measured; nothing where one of them is not known."""
    if not measured or "unknown" in (twin, *measured):
        return NOTHING
    return "same" if twin in measured else "differs"


def starved_text(answers: Sequence[bool]) -> str:
    """Return whether runs were starved, in words."""
    return " or ".join("yes" if answer else "no" for answer in answers) or NOTHING


def measured_figures(servers: Sequence[ComparedServer]) -> list[str]:
    """Return the names of the figures that were measured on some server."""
    return [name for name in COMPARED_FIGURES if any(each.figures[name].measured is not None for each in servers)]


def not_measured_sentence(servers: Sequence[ComparedServer]) -> str:
    """Return the figures that were not measured, in words; empty if there are none."""
    names = [name for name in COMPARED_FIGURES if name not in measured_figures(servers)]
    return f"Not measured: {', '.join(FIGURE_TITLES[name] for name in names)}." if names else ""


def source_of_comparison(comparison: Comparison) -> str:
    """Return a sentence on what is compared with what."""
    files = list(dict.fromkeys(str(each.file) for server in comparison.servers for each in server.observations))
    listed = ", ".join(files) if len(files) <= 3 else f"{files[0]} and {len(files) - 1} other files"
    runs = sum(server.repeats for server in comparison.servers)
    servers = f"{count(len(comparison.servers), 'server')}, " if len(comparison.servers) > 1 else ""
    return f"The twin ({comparison.twin}) beside what was measured ({listed}): {servers}{count(runs, 'measured run')}."


REPEATS_NOTE = (
    "The measured figures are medians over repeats, and spread is the largest less the smallest, over the median: an "
    "error below it is within the noise of the server."
)
