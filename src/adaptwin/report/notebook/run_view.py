"""A simulated run as a notebook shows it."""

from typing import Any

from adaptwin.report.notebook.html_table import SHOWN_ROWS, HtmlTable, and_more, html_view
from adaptwin.report.style.words import NOTHING, count, duration, number, percent
from adaptwin.twin.run import VERDICTS, Run, grade_of


def run_facts(run: Run) -> list[str]:
    """Return what a run is in a line: the worst verdict, throughput, latencies, adapters and window."""
    facts = [
        run.grade,
        f"{number(run.throughput)} of {number(run.offered_throughput)} tokens/s",
        f"TTFT p99 {duration(run.ttft.p99)}",
        f"ITL mean {duration(run.itl.mean)}",
        count(len(run.adapters), "adapter"),
        run.profile,
        f"max_loras {run.server.max_loras}",
        f"{duration(run.duration)} of arrivals",
        f"seed {run.seed}",
    ]
    return facts if run.repeats == 1 else [*facts, f"{run.repeats} repeats"]


def run_html(run: Run) -> str:
    """Return a run as HTML: its facts, a table of latencies, and one of the adapters that are served worst."""
    latencies = [
        (name, *(duration(value) for value in (of.mean, of.p50, of.p90, of.p99)))
        for name, of in (("TTFT", run.ttft), ("ITL", run.itl), ("TPOT", run.tpot), ("E2E", run.e2e))
    ]
    worst = sorted(run.adapters.iter_rows(named=True), key=_from_the_worst)[:SHOWN_ROWS]
    headers = ("adapter", "rank", "arrived", "finished", "served", "TTFT p50", "TTFT p99", "ITL mean", "verdict")
    adapters = HtmlTable(headers, [_adapter_cells_of_run(row) for row in worst], and_more(len(run.adapters), "adapter"))
    return html_view("Run", run_facts(run), HtmlTable(("latency", "mean", "p50", "p90", "p99"), latencies), adapters)


def _from_the_worst(row: dict[str, Any]) -> tuple[int, float]:
    """Sort key of an adapter: the worst verdict first, then the most traffic."""
    return VERDICTS.index(row["verdict"]), -row["offered_throughput"]


def _adapter_cells_of_run(row: dict[str, Any]) -> tuple[str, ...]:
    offered = row["offered_throughput"]
    latencies = (row["ttft_p50"], row["ttft_p99"], row["itl_mean"])
    return (
        row["name"],
        str(row["rank"]),
        f"{row['arrivals']:,}",
        f"{row['finished']:,}",
        percent(row["throughput"] / offered) if offered else NOTHING,
        *(NOTHING if latency is None else duration(latency) for latency in latencies),
        grade_of(row["verdict"], sluggish=row["sluggish"]),
    )
