"""What a fleet keeps of a request trace, for the terminal."""

import math
from collections.abc import Mapping
from typing import Any

from adaptwin.report.style.terminal import Table, Text
from adaptwin.report.style.words import count, duration, number, percent
from adaptwin.twin.verdict import SHORTEST_WINDOW
from adaptwin.workload.sources.conversations import SharedInTrace
from adaptwin.workload.sources.recorded_window import WindowFigures
from adaptwin.workload.sources.request_log.request_log import RequestLog

FEW_REQUESTS = 100  # with fewer, the mean rate is uncertain by over 10 %


def trace_summary(figures: WindowFigures) -> dict[str, Any]:
    """Return the figures by name; those that a short window does not have are None."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in figures._asdict().items()
    }


def trace_table(
    figures: WindowFigures, popularity: str, left_out: Mapping[str, int], shared: SharedInTrace | None
) -> Table:
    """Return a table of the window that was chosen, its rates and bursts, what was left out, and what is assumed."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("trace", f"{count(figures.requests, 'request')} in {duration(figures.span)}")
    for reason, rows in left_out.items():
        table.add_row("not used", Text(f"{count(rows, 'row')}: {reason}"))
    add_window_rows(table, figures)
    if shared:
        table.add_row("prefixes", shared_in_words(shared))
    table.add_row("assumed", f"requests are distributed over adapters by {popularity}: the trace names none")
    if shared and shared.kept:
        what = "conversations go to one adapter as a whole; what an answer shares with a later prompt is not hashed"
        table.add_row("", what)
    return table


def shared_in_words(shared: SharedInTrace) -> str:
    """Say how much of the prompts of a recording begins like earlier ones."""
    said = f"{count(shared.prompts, 'prompt')} begin like an earlier one: {percent(shared.share)} of the prompt tokens"
    return f"{said}, {percent(shared.within)} within an adapter" if shared.kept else said


def lost_prefixes(shared: SharedInTrace | None) -> list[str]:
    """Return that a fleet does not keep which prompts begin alike, if the trace tells."""
    if shared is None or shared.kept:
        return []
    return ["which prompts begin alike is not kept, as rates are kept and no timestamps: --keep timestamps keeps both"]


def add_window_rows(table: Table, figures: WindowFigures) -> None:
    """Add rows for the window that was chosen, its rates and bursts, and what was left out."""
    table.add_row("window used", _window(figures))
    if figures.before or figures.after:
        table.add_row("left out", f"{figures.before:,} requests before and {figures.after:,} after the window")
    if figures.raised:
        table.add_row("lengths of 0", f"{figures.raised:,}, counted as 1 token")
    rates = f"{number(figures.mean_rate)} requests/s on average, {number(figures.peak_rate)} in the busiest minute"
    table.add_row("rate of the window", rates)
    if spread := _bursts(figures):
        table.add_row("bursts", spread)


def trace_warnings(figures: WindowFigures) -> list[str]:
    """Return what makes the window a weak basis for a plan, in sentences."""
    found = []
    if figures.kept < FEW_REQUESTS:
        uncertain = f"their mean rate is uncertain by {100 / math.sqrt(figures.kept):.0f} %"
        found.append(f"the window holds only {figures.kept} requests, so {uncertain}")
    if figures.window < SHORTEST_WINDOW:
        short = f"the window of {figures.window:g} s is shorter than the {SHORTEST_WINDOW:g} s that a plan needs"
        found.append(f"{short}; if the times have another unit, give --time-unit")
    return found


def ignored_models(log: RequestLog) -> list[str]:
    """Return that the requests of a trace name models, if they name several."""
    if len(log.names) < 2:
        return []
    named = f"its requests name {len(log.names)} models in the column {log.columns['adapter']}"
    return [f"{named}, which are not used; adaptwin workload from-log makes an adapter of each"]


def _window(figures: WindowFigures) -> str:
    start, end = (_clock(time) for time in (figures.start, figures.start + figures.window))
    return f"{count(figures.kept, 'request')} from {start} to {end}, in {figures.window:g} s"


def _clock(seconds: float) -> str:
    """Return hours, minutes and seconds since the first request: ``1:02:03``."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _bursts(figures: WindowFigures) -> str:
    """Return by which factor the variance of the number of requests exceeds that of independent requests."""
    known = [
        f"{number(dispersion)} per {unit}"
        for unit, dispersion in (("second", figures.dispersion_second), ("minute", figures.dispersion_minute))
        if math.isfinite(dispersion)
    ]
    return f"variance of requests over their mean: {', '.join(known)} (1 if independent)" if known else ""
