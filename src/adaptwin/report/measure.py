"""A report on a measurement of a running server, for the terminal."""

from rich.console import Group, RenderableType

from adaptwin.live.measured import MeasuredTimes
from adaptwin.live.measurement_tables import medians_of
from adaptwin.report.style.tables import add_numbers, heading, plain_table
from adaptwin.report.style.terminal import Table, Text
from adaptwin.report.style.words import NOTHING, count, duration, number, percent


def measure_report(measured: MeasuredTimes, folder: str) -> RenderableType:
    """Return what was measured: the server, the median of each micro-benchmark, whole runs, and what is assumed."""
    server = measured.server
    parts: list[RenderableType] = [
        Text.assemble(
            f"{server.base} on vLLM {server.vllm_version}, {count(len(server.adapters), 'adapter')}, "
            f"max_loras {server.server.max_loras}, max_lora_rank {server.server.max_lora_rank}.\n"
            f"{count(len(measured.results), 'micro-benchmark')} in {count(measured.rounds, 'round')} and "
            f"{count(len(measured.runs), 'run')}, {duration(measured.seconds)}.",
            ("" if measured.is_complete else "\nThe time did not suffice for all runs: the same command goes on."),
        ),
        heading("Steps and loads, medians"),
        _micro_table(measured),
    ]
    if measured.runs:
        parts += [heading("Whole runs"), _runs_table(measured)]
    unknown = {result.name: result.said for result in measured.results if result.seconds is None}
    notes = [*server.said, *(f"{name}: {said}" for name, said in unknown.items()), *_doubts(measured)]
    if notes:
        parts += [heading("Assumed, or not measured"), *(Text(f"- {note}", style="yellow") for note in notes)]
    parts.append(Text(f"\nMeasurements are in {folder}: 'adaptwin fit {folder}' makes a profile of them."))
    return Group(*parts)


def _doubts(measured: MeasuredTimes) -> list[str]:
    if measured.server.determines_memory:
        return []
    return ["the size of the KV cache is a setting of this server, so nothing is learnt of its memory"]


def _micro_table(measured: MeasuredTimes) -> Table:
    table = plain_table()
    table.add_column("")
    add_numbers(table, "tokens", "context", "adapters", "rank", "time", "spread")
    for row in medians_of(measured.results):
        seconds = [each.seconds for each in measured.results if each.name == row.name and each.seconds]
        spread = percent((max(seconds) - min(seconds)) / (row.seconds or 1.0)) if len(seconds) > 1 else NOTHING
        table.add_row(
            row.kind,
            number(row.tokens) if row.tokens else NOTHING,
            number(row.context) if row.context else NOTHING,
            number(row.adapters),
            str(row.rank) if row.rank else NOTHING,
            duration(row.seconds or 0.0),
            spread,
        )
    return table


def _runs_table(measured: MeasuredTimes) -> Table:
    table = plain_table()
    table.add_column("")
    add_numbers(table, "req/s", "seconds", "tok/s", "TPOT", "TTFT\np50")
    table.add_column("starved", no_wrap=True)
    for run in measured.runs:
        table.add_row(
            run.name,
            number(run.workload.rate),
            f"{run.workload.duration:.0f}",
            number(run.throughput),
            duration(run.tpot_mean) if run.tpot_mean else NOTHING,
            duration(run.ttft_p50) if run.ttft_p50 else NOTHING,
            "yes" if run.starved else "no",
        )
    return table
