"""A report on a run of the twin, for the terminal."""

import math
from typing import Any

from rich.console import Group, RenderableType

from adaptwin.report.style.assumptions import assumption_lines, extrapolated_sentence
from adaptwin.report.style.tables import add_numbers, grade_text, heading, plain_table
from adaptwin.report.style.terminal import Table, Text
from adaptwin.report.style.words import NOTHING, count, duration, number, percent
from adaptwin.twin.run import VERDICTS, Grade, Latency, Run, RunFigures, grade_of
from adaptwin.twin.verdict import SHORTEST_WINDOW

SHOWN_ADAPTERS = 10  # adapters with the worst verdicts
_INTERVAL_NAMES = {
    "throughput": "Throughput, tok/s",
    "ttft.p50": "TTFT p50",
    "ttft.p99": "TTFT p99",
    "itl.mean": "ITL mean",
    "itl.p99": "ITL p99",
    "e2e.p99": "E2E p99",
}


def run_table(run: Run) -> RenderableType:
    """Return a report on a run: verdict, latencies, facts about the server, and the adapters served worst."""
    parts: list[RenderableType] = [
        _run_headline(run),
        heading("Latency of finished requests"),
        latency_table(run),
        heading("Server"),
        _server_facts_table(run),
    ]
    if run.confidence:
        parts += [heading(f"95 % interval of the mean over {run.repeats} repeats"), _interval_table(run.confidence)]
    if run.intervals:
        parts += [heading("90 % interval for a real server"), _interval_table(run.intervals)]
    parts.append(worst_adapters(run))
    parts += assumption_lines(run.assumptions, extrapolated_sentence({run.profile: run.extrapolations}))
    return Group(*parts)


def _run_headline(run: Run) -> Text:
    rejected = f"{count(run.rejected, 'request')} of {run.arrived:,} rejected: {run.server.why_rejected}.\n"
    share = percent(run.throughput / run.offered_throughput if run.offered_throughput else math.nan)
    server = run.server
    slots = f"max_loras {server.max_loras}, max_lora_rank {server.max_lora_rank}"
    slots = "weights of the adapter merged into those of the model" if server.merged else slots
    return Text.assemble(
        "Server: ",
        grade_text(grade_of(run.verdict, sluggish=run.sluggish)),
        f", {number(run.throughput)} of {number(run.offered_throughput)} offered tokens/s ({share})\n"
        f"and {number(run.request_rate)} of {number(run.offered_request_rate)} requests/s.\n",
        (rejected if run.rejected else "", "bold red"),
        ("" if run.arrived else "No request arrives in this window, so there is nothing to judge.\n", "magenta"),
        (_why_unknown(run) if run.worst == "unknown" else "", "magenta"),
        f"{run.profile}, {slots}.\n",
        f"{duration(run.duration)} of arrivals, seed {run.seed}, {count(run.repeats, 'repeat')}, "
        f"window {run.window}{f', warm-up {duration(run.warmup)}' if run.warmup else ''}.",
    )


def _why_unknown(run: Run) -> str:
    if run.duration - run.warmup < SHORTEST_WINDOW:
        return f"Unknown: a window needs {duration(SHORTEST_WINDOW)} after warm-up to show whether a server keeps up.\n"
    return (
        "Unknown: requests were due, but none has finished. A longer window would show whether the server keeps up.\n"
    )


def latency_table(run: RunFigures) -> Table:
    """Return mean and percentiles of the latencies of finished requests."""
    table = plain_table()
    table.add_column("")
    add_numbers(table, "mean", "p50", "p90", "p99")
    rows: tuple[tuple[str, Latency], ...] = (
        ("TTFT  time to first token", run.ttft),
        ("ITL   between tokens", run.itl),
        ("TPOT  per output token", run.tpot),
        ("E2E   whole request", run.e2e),
    )
    for name, of in rows:
        table.add_row(name, duration(of.mean), duration(of.p50), duration(of.p90), duration(of.p99))
    return table


def _server_facts_table(run: Run) -> Table:
    table = Table.grid("", "", padding=(0, 2, 0, 0))
    for name, fact in _server_facts(run).items():
        table.add_row(name, fact)
    return table


def _server_facts(run: Run) -> dict[str, str]:
    loads = f"{run.adapter_loads:,} to the GPU, {run.disk_loads:,} from disk; steps waited {{}} for them"
    kv_cache = f"{run.kv_cache_tokens:,} tokens, {percent(run.kv_usage)} used"
    if run.prefix_hit_rate:
        kv_cache += f"; {percent(run.prefix_hit_rate)} of the prompt tokens were cached"
    left = f"{run.running_at_end:,} running and {run.waiting_at_end:,} waiting at the end"
    facts = {
        "Requests": f"{run.arrived:,} arrived, {run.finished:,} finished; {left}",
        "Batch": f"{number(run.mean_running)} requests and {number(run.mean_adapters)} adapters on average",
        "Queue": f"{number(run.mean_waiting)} waiting on average",
        "KV cache": f"{kv_cache}; {run.preemptions:,} preemptions",
        "Adapter loads": loads.format(duration(run.adapter_load_time)),
        "Busy": f"{percent(run.busy)} of the time, {run.steps:,} steps",
    }
    if run.rejected:
        facts["Rejected"] = f"{run.rejected:,} {run.server.why_rejected}, or too long for the KV cache"
    if run.never_admitted:
        facts["Not sent"] = f"{run.never_admitted:,} held back by the client, whose connections are all in use"
    return facts


def _interval_table(intervals: dict[str, tuple[float, float]]) -> Table:
    table = plain_table()
    table.add_column("")
    add_numbers(table, "from", "to")
    for metric, name in _INTERVAL_NAMES.items():
        if metric in intervals:
            write = number if metric == "throughput" else duration
            table.add_row(name, *(write(max(0.0, edge)) for edge in intervals[metric]))
    return table


def worst_adapters(run: RunFigures) -> RenderableType:
    """Return the adapters that are served worst, or a line that all are ok."""
    rows = list(run.adapters.iter_rows(named=True))
    grades = {_grade(row) for row in rows}
    if grades <= {"ok"} or grades == {"unknown"}:
        return Text.assemble(f"\nAdapters: all {len(rows):,} are ", grade_text(min(grades, default="ok")), ".")
    bad = sorted((row for row in rows if _grade(row) != "ok"), key=_severity)
    what = "sluggish" if grades <= {"ok", "sluggish"} else "not ok or sluggish" if "sluggish" in grades else "not ok"
    shown = f", the worst {SHOWN_ADAPTERS}" if len(bad) > SHOWN_ADAPTERS else ""
    table = plain_table()
    table.add_column("Adapter", overflow="fold", min_width=16)
    add_numbers(table, "Rank", "Arrived", "Done", "TTFT\np50", "TTFT\np99", "ITL\nmean")
    table.add_column("Verdict", no_wrap=True)
    for row in bad[:SHOWN_ADAPTERS]:
        table.add_row(Text(row["name"]), *_adapter_cells(row))
    return Group(heading(f"Adapters {what}: {len(bad):,} of {len(rows):,}{shown}"), table)


def _grade(row: dict[str, Any]) -> Grade:
    return grade_of(row["verdict"], sluggish=row["sluggish"])


def _severity(row: dict[str, Any]) -> tuple[int, float, float]:
    """Sort key of an adapter: worst verdict first, then the smallest share served, then the most traffic."""
    offered = row["offered_throughput"]
    return VERDICTS.index(row["verdict"]), row["throughput"] / max(offered, 1e-9), -offered


def _adapter_cells(row: dict[str, Any]) -> list[RenderableType]:
    latencies = (row["ttft_p50"], row["ttft_p99"], row["itl_mean"])
    return [
        str(row["rank"]),
        f"{row['arrivals']:,}",
        f"{row['finished']:,}",
        *(NOTHING if latency is None else duration(latency) for latency in latencies),
        grade_text(_grade(row)),
    ]
