"""A report on the verification of a plan, for the terminal."""

from rich.console import Group, RenderableType

from adaptwin.plan.check import Check
from adaptwin.report.plan.server_noun import heading_of
from adaptwin.report.style.assumptions import assumption_lines, extrapolated_sentence
from adaptwin.report.style.tables import add_numbers, grade_text, plain_table
from adaptwin.report.style.terminal import Text
from adaptwin.report.style.words import count, duration, number, percent
from adaptwin.twin.run import Run


def check_table(check: Check) -> RenderableType:
    """Return a report on a verification: whether the plan holds, and the figures of each GPU."""
    servers = len(check.runs)
    noun = "GPU" if check.gpus in (None, servers) else "server"
    gpus = count(servers, "GPU") if noun == "GPU" else f"{count(check.gpus or 0, 'GPU')} in {count(servers, 'server')}"
    if check.ok:
        failures = f", not even in {count(len(check.failovers), 'failure scenario')}" if check.failovers else ""
        headline = Text(
            f"The plan holds on {gpus} with seed {check.seed}: no adapter is starved{failures}.", style="green"
        )
    else:
        headline = Text(f"The plan does not hold on {gpus} with seed {check.seed}.", style="bold red")
    table = plain_table()
    table.add_column(heading_of(noun), overflow="fold")
    add_numbers(table, "Offered\nreq/s", "Offered\ntok/s", "Served\ntok/s", "TTFT\np50", "TTFT\np99", "ITL\nmean")
    add_numbers(table, "KV\nuse", "Not\nok")
    table.add_column("Verdict", no_wrap=True)
    for server, run in zip(check.servers, check.runs, strict=True):
        table.add_row(Text(server.name), *_check_cells(run))
    lines = [Text("\n".join(check.failures), style="red")] if check.failures else []
    if rejected := sum(run.rejected for run in check.runs):
        why = check.runs[0].server.why_rejected
        lines.append(Text(f"{count(rejected, 'request')} rejected: {why}.", style="bold red"))
    runs = zip(check.servers, check.runs, strict=True)
    extrapolated = extrapolated_sentence({server.name: run.extrapolations for server, run in runs}, noun)
    return Group(headline, Text(), table, *lines, *assumption_lines(check.assumptions, extrapolated))


def _check_cells(run: Run) -> list[RenderableType]:
    return [
        number(run.offered_request_rate),
        number(run.offered_throughput),
        number(run.throughput),
        duration(run.ttft.p50),
        duration(run.ttft.p99),
        duration(run.itl.mean),
        percent(run.kv_usage),
        f"{sum(verdict != 'ok' for verdict in run.adapters['verdict']):,}",
        grade_text(run.grade),
    ]
