"""A workload as a notebook shows it."""

import math

from adaptwin.report.notebook.html_table import SHOWN_ROWS, HtmlTable, and_more, html_view
from adaptwin.report.style.words import count, duration, number
from adaptwin.workload.workload import Workload


def workload_facts(workload: Workload) -> list[str]:
    """Return what a workload is in a line: adapters, ranks, traffic, arrivals, window and seed."""
    ranks = sorted({adapter.rank for adapter in workload.adapters})
    arrivals = workload.arrivals
    shown = f"{arrivals} arrivals" if isinstance(arrivals, str) else count(len(arrivals), "timestamp")
    return [
        count(len(workload), "adapter"),
        *([f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {ranks[0]} to {ranks[-1]}"] if ranks else []),
        rate_fact(workload),
        f"{shown} over {duration(workload.duration)}",
        f"seed {workload.seed}",
    ]


def workload_html(workload: Workload) -> str:
    """Return a workload as HTML: its facts, and a table of the adapters with the most traffic."""
    every = zip(_known_rates(workload), workload.adapters, strict=True)
    busiest = sorted(every, key=lambda each: -each[0] if math.isfinite(each[0]) else 0.0)[:SHOWN_ROWS]
    lengths = {adapter.name: workload.lengths_of(adapter) for _, adapter in busiest}
    rows = [
        (
            adapter.name,
            f"{adapter.rank}",
            number(rate),
            number(lengths[adapter.name].mean_input),
            number(lengths[adapter.name].mean_output),
        )
        for rate, adapter in busiest
    ]
    headers = ("adapter", "rank", "requests/s", "mean prompt", "mean answer")
    table = HtmlTable(headers, rows, and_more(len(workload), "adapter"))
    return html_view(type(workload).__name__, workload_facts(workload), table)


def rate_fact(workload: Workload) -> str:
    """Return the traffic of a workload in requests/s."""
    return f"{number(math.fsum(_known_rates(workload)))} requests/s"


def _known_rates(workload: Workload) -> list[float]:
    """Return the mean rates of the adapters; NaN for all if the file that they come from is gone."""
    try:
        return workload.rates
    except ValueError:
        return [math.nan] * len(workload)
