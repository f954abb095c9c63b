"""A report on a replay, for the terminal."""

from rich.console import Group, RenderableType

from adaptwin.live.replayed import Replayed, ReplayedRun
from adaptwin.report.run import latency_table, worst_adapters
from adaptwin.report.style.tables import add_numbers, grade_text, heading, plain_table
from adaptwin.report.style.terminal import Table, Text
from adaptwin.report.style.words import NOTHING, count, duration, number, percent
from adaptwin.twin.run import grade_of

SHOWN_ERRORS = 5


def replay_report(replay: Replayed) -> RenderableType:
    """Return what running servers did: verdicts, latencies, the adapters served worst, and how the client did."""
    parts: list[RenderableType] = [_replay_headline(replay)]
    if len(replay.runs) > 1:
        parts += [heading("Servers"), _replayed_servers_table(replay)]
    for run in replay.runs:
        parts += [*_parts_of_replayed(run, is_alone=len(replay.runs) == 1)]
    return Group(*parts)


def _replay_headline(replay: Replayed) -> Text:
    runs, client = replay.runs, replay.client
    limit = f", of {client.max_in_flight:,} allowed" if client.max_in_flight else ""
    how = {"one server": "one server", "plan": "as the plan routes them", "round-robin": "one server after the other"}
    how["routes file"] = "as the routes file says at each moment"
    return Text.assemble(
        f"{sum(run.arrived for run in runs):,} requests in {duration(runs[0].duration)} to "
        f"{count(len(runs), 'server')} ({how[replay.routing]}), seed {runs[0].seed if len(runs) == 1 else '-'}, "
        f"window {runs[0].window}.\n",
        (f"Ended early: {replay.ended_early}\n" if replay.ended_early else "", "bold red"),
        f"Client: {client.most_in_flight:,} requests open at most{limit}, busy {percent(client.busy)}, "
        f"requests sent {duration(client.late_p99)} late (p99).",
        (f"\nThe client was the bottleneck: {client.complaint}." if client.complaint else "", "bold red"),
    )


def _replayed_servers_table(replay: Replayed) -> Table:
    table = plain_table()
    table.add_column("Server", overflow="fold", min_width=8)
    add_numbers(table, "Requests", "Done", "Failed", "tok/s", "of offered", "TTFT\np99", "ITL\nmean")
    table.add_column("Verdict", no_wrap=True)
    for run in replay.runs:
        table.add_row(
            Text(run.name),
            f"{run.arrived:,}",
            f"{run.finished:,}",
            f"{run.failed:,}",
            number(run.throughput),
            percent(run.throughput / run.offered_throughput) if run.offered_throughput else NOTHING,
            duration(run.ttft.p99),
            duration(run.itl.mean),
            grade_text(run.grade),
        )
    return table


def _parts_of_replayed(run: ReplayedRun, *, is_alone: bool) -> list[RenderableType]:
    share = percent(run.throughput / run.offered_throughput) if run.offered_throughput else NOTHING
    verdict = Text.assemble(
        "" if is_alone else f"\n{run.name} ({run.url})\n",
        "Server: ",
        grade_text(grade_of(run.verdict, sluggish=run.sluggish)),
        f", {number(run.throughput)} of {number(run.offered_throughput)} offered tokens/s ({share})\n"
        f"and {number(run.request_rate)} of {number(run.offered_request_rate)} requests/s.",
    )
    parts: list[RenderableType] = [verdict, heading("Latency of finished requests"), latency_table(run)]
    parts += [heading("Server, by its /metrics"), _facts_table(run)]
    if run.errors:
        parts += [heading("Failed requests, by what the server said"), _errors_table(run)]
    return [*parts, worst_adapters(run)]


def _facts_table(run: ReplayedRun) -> Table:
    table = Table.grid("", "", padding=(0, 2, 0, 0))
    version = f"vLLM {run.vllm_version}" if run.vllm_version else "unknown"
    table.add_row("Version", Text(f"{version}, base model {run.base_model}"))
    table.add_row(
        "Requests",
        f"{run.arrived:,} due, {run.finished:,} finished, {run.failed:,} failed, {run.rejected:,} too long; "
        f"{run.running_at_end:,} running and {run.waiting_at_end:,} waiting at the end",
    )
    if run.never_admitted:
        table.add_row("Not sent", f"{run.never_admitted:,} held back by the client, whose connections are all in use")
    running, waiting, adapters = (_known(each) for each in (run.mean_running, run.mean_waiting, run.mean_adapters))
    is_known = run.mean_running is not None
    table.add_row("Batch", f"{running} requests and {adapters} adapters on average" if is_known else "unknown")
    table.add_row("Queue", f"{waiting} waiting on average" if is_known else "unknown")
    tokens = "unknown" if run.kv_cache_tokens is None else f"{run.kv_cache_tokens:,}"
    used = "unknown" if run.kv_usage is None else percent(run.kv_usage)
    preemptions = "unknown" if run.preemptions is None else f"{run.preemptions:,}"
    table.add_row("KV cache", f"{tokens} tokens, {used} used; {preemptions} preemptions")
    table.add_row("Slots", "unknown" if run.max_loras is None else f"{run.max_loras:,} (max_loras)")
    return table


def _known(value: float | None) -> str:
    return "unknown" if value is None else number(value)


def _errors_table(run: ReplayedRun) -> Table:
    table = Table.grid("", "", padding=(0, 2, 0, 0))
    for said, times in list(run.errors.items())[:SHOWN_ERRORS]:
        table.add_row(f"{times:,}", Text(said))
    if len(run.errors) > SHOWN_ERRORS:
        table.add_row("", f"and {len(run.errors) - SHOWN_ERRORS} other kinds")
    return table
