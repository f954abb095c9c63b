"""A report on metered traffic, for the terminal and as JSON."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from adaptwin.live.metering.metered_traffic import MeteredTraffic
from adaptwin.report.style.tables import add_numbers, plain_table
from adaptwin.report.style.terminal import Table, Text
from adaptwin.report.style.words import NOTHING, duration, number

SHOWN_MODELS = 12


def metered_table(traffic: MeteredTraffic) -> Table:
    """Return the models with the most requests: rates in the busiest window and on average, and mean lengths."""
    ended = datetime.fromtimestamp(float(traffic.ends[traffic.busiest]), UTC)
    table = plain_table()
    has_windows = len(traffic.ends) > 1
    time = f"{'busiest ' if has_windows else ''}{duration(traffic.window)}"
    table.title = f"{traffic.meter.title}; {time}: until {ended:%Y-%m-%d %H:%M} UTC"
    table.add_column("Model", overflow="fold", min_width=8)
    rates = ("Requests/s\nbusiest", "mean") if has_windows else ("Requests/s",)
    add_numbers(table, *rates, "Prompt\ntokens", "Answer\ntokens")
    busiest, mean = traffic.rates(traffic.busiest), traffic.rates(None)
    prompts, answers = traffic.mean_tokens()
    for place in np.argsort(-busiest, kind="stable")[:SHOWN_MODELS]:
        lengths = (number(each) if np.isfinite(each) else NOTHING for each in (prompts[place], answers[place]))
        shown = (number(each) for each in (busiest[place], mean[place])[: len(rates)])
        table.add_row(Text(traffic.names[place]), *shown, *lengths)
    if (more := len(traffic.names) - SHOWN_MODELS) > 0:
        table.caption = f"and {more:,} more"
    return table


def metered_summary(traffic: MeteredTraffic, said: Sequence[str]) -> dict[str, Any]:
    """Return what was metered, as plain data."""
    return {
        "meter": traffic.meter.title,
        "window": traffic.window,
        "windows": len(traffic.ends),
        "busiest_until": float(traffic.ends[traffic.busiest]),
        "requests_per_second": float(traffic.rates(traffic.busiest).sum()),
        "mean_requests_per_second": float(traffic.rates(None).sum()),
        "said": list(said),
    }
