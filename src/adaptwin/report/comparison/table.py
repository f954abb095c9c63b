"""Tables of a comparison for the terminal: figures, servers, and the adapters with the largest errors."""

from collections.abc import Sequence

from rich.console import Group, RenderableType

from adaptwin.live.comparison import ADAPTER_FIGURES, ComparedAdapter, ComparedServer, Comparison, FigurePair
from adaptwin.report.comparison.figure_words import (
    FIGURE_TITLES,
    REPEATS_NOTE,
    agreement_text,
    error_text_of,
    figure_text,
    grades_text,
    measured_figures,
    not_measured_sentence,
    source_of_comparison,
    spread_text,
    starved_text,
)
from adaptwin.report.style.tables import add_numbers, grade_text, heading, plain_table
from adaptwin.report.style.terminal import Table, Text
from adaptwin.report.style.words import NOTHING
from adaptwin.twin.run import Grade

SERVER_FIGURES = ("throughput", "itl.mean", "ttft.p50")  # of the table of servers
SHOWN_WORST = 10  # adapters


def comparison_table(comparison: Comparison) -> RenderableType:
    """Show simulated runs beside measured ones: their figures, the servers, the worst adapters, and what blurs it."""
    servers = comparison.servers
    parts: list[RenderableType] = [Text(f"{source_of_comparison(comparison)}\n")]
    if len(servers) == 1:
        parts.append(_figures_of_server(servers[0]))
    else:
        parts += [_errors_of_servers(comparison), heading("Servers"), _table_of_servers(comparison)]
    notes = [REPEATS_NOTE if comparison.has_repeats else "", not_measured_sentence(servers)]
    parts += [Text(f"\n{note}", style="dim") for note in notes if note]
    if adapters := comparison.adapters:
        shown = f", the {SHOWN_WORST} with the largest error" if len(adapters) > SHOWN_WORST else ""
        parts.append(heading(f"Adapters, measured / twin: {len(adapters):,} with requests{shown}"))
        parts.append(_table_of_adapters(adapters[:SHOWN_WORST], has_servers=len(servers) > 1))
    if comparison.doubts:
        parts += [
            heading("What blurs the comparison"),
            *(Text(f"- {line}", style="yellow") for line in comparison.doubts),
        ]
    return Group(*parts)


def _figures_of_server(server: ComparedServer) -> Table:
    """Return a row for each figure that was measured, and the verdicts."""
    has_repeats, intervals = server.repeats > 1, server.run.intervals
    table = plain_table()
    table.add_column("Figure", no_wrap=True)
    headers = ["Measured", "Twin", "Error", *(["Spread"] * has_repeats), *(["90 % interval"] * bool(intervals))]
    add_numbers(table, *headers)
    for name in measured_figures([server]):
        pair = server.figures[name]
        cells = [figure_text(name, pair.measured), figure_text(name, pair.twin), error_text_of(pair.error)]
        if has_repeats:
            cells.append(spread_text(pair.spread))
        if intervals:
            cells.append(" to ".join(figure_text(name, edge) for edge in intervals.get(name, ())) or NOTHING)
        table.add_row(FIGURE_TITLES[name], *cells)
    if grades := server.measured_grades:
        table.add_row("Verdict", grades_text(grades), grade_text(server.grade), agreement_text(grades, server.grade))
    if starved := server.measured_starved:
        answers = starved_text(starved), starved_text([server.run.starved])
        table.add_row("Starved", *answers, agreement_text(starved, server.run.starved))
    return table


def _errors_of_servers(comparison: Comparison) -> Table:
    """Return a row for each figure, with its errors over the servers."""
    table = plain_table()
    table.add_column("Figure", no_wrap=True)
    add_numbers(table, "Servers", "Mean error", "Worst error", *(["Spread"] * comparison.has_repeats))
    table.add_column("Worst server", overflow="fold")
    for name in measured_figures(comparison.servers):
        if errors := comparison.errors(name):
            cells = [f"{errors.servers:,}", f"{100.0 * errors.mean:.1f} %", error_text_of(errors.worst)]
            cells += [spread_text(errors.spread)] * comparison.has_repeats
            table.add_row(FIGURE_TITLES[name], *cells, Text(errors.worst_server))
    return table


def _table_of_servers(comparison: Comparison) -> Table:
    table = _dense_table()
    table.add_column("Server", overflow="fold", min_width=6)
    for title in ("tok/s", "ITL", "TTFT p50"):
        add_numbers(table, f"{title}\nmeas.", "\ntwin", "\nerror")
    table.add_column("Verdict", overflow="fold")
    for server in comparison.servers:
        cells = [cell for name in SERVER_FIGURES for cell in _pair_with_error(name, server.figures[name])]
        table.add_row(Text(server.name), *cells, _verdicts(server.measured_grades, server.grade))
    if total := comparison.total:
        table.add_row("all", *_pair_with_error("throughput", total))
    return table


def _dense_table() -> Table:
    """Return an empty table whose many columns fit into 80 characters."""
    table = plain_table()
    table.padding = 0
    return table


def _pair_with_error(name: str, pair: FigurePair) -> tuple[str, str, str]:
    return figure_text(name, pair.measured), figure_text(name, pair.twin), error_text_of(pair.error)


def _verdicts(measured: Sequence[Grade], twin: Grade) -> RenderableType:
    """Return the verdict once if the twin has the measured one, and else both."""
    if list(measured) in ([], [twin]):
        return grade_text(twin) if measured else Text.assemble(f"{NOTHING} / ", grade_text(twin))
    return Text.assemble(f"{grades_text(measured)} / ", grade_text(twin))


def _table_of_adapters(adapters: Sequence[ComparedAdapter], *, has_servers: bool) -> Table:
    table = _dense_table()
    table.add_column("Adapter", overflow="fold", min_width=8)
    add_numbers(table, "Req.")
    for title in ("tok/s", "TTFT p50", "ITL"):
        add_numbers(table, f"{title}\nmeas.", "\ntwin")
    table.add_column("Verdict", overflow="fold")
    for adapter in adapters:
        pairs = [(name, adapter.figures[name]) for name in ADAPTER_FIGURES]
        values = [figure_text(name, value) for name, pair in pairs for value in (pair.measured, pair.twin)]
        name = f"{adapter.name} on {adapter.server}" if has_servers else adapter.name
        table.add_row(Text(name), f"{adapter.requests:,}", *values, _verdicts(adapter.measured_grades, adapter.grade))
    return table
