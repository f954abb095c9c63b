"""The page of a comparison: errors of the twin, pictures of figures and adapters, and the tables."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from adaptwin.live.comparison import ADAPTER_FIGURES, ComparedAdapter, ComparedServer, Comparison, FigurePair
from adaptwin.report.comparison.charts import adapters_figure, ratios_figure
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
from adaptwin.report.comparison.table import SERVER_FIGURES, SHOWN_WORST
from adaptwin.report.style.page import Card, Picture, render
from adaptwin.report.style.words import NOTHING, count
from adaptwin.writing import write_atomically

_HEADLINE_FIGURES = {"throughput": "Throughput error", "ttft.p50": "Median TTFT error", "itl.mean": "Mean ITL error"}
_RATIOS_PICTURE = Picture(
    "ratios",
    "Figures of the twin over measured ones",
    "How large the figures of the twin are, as shares of the measured ones: at 100 % they agree. A line on a grey bar "
    "reaches from the smallest to the largest of repeated measurements.",
)
_TTFT_PICTURE = Picture(
    "ttft",
    "Median time to first token, by adapter",
    "Each point is an adapter, as measured and as simulated. On the dotted line they agree. Both axes logarithmic.",
)
_ITL_PICTURE = Picture(
    "itl",
    "Mean inter-token latency, by adapter",
    "Each point is an adapter, as measured and as simulated. On the dotted line they agree. Both axes logarithmic.",
)


class FigureRow(NamedTuple):
    """A row of a table of the page: what it is about, and its cells."""

    name: str
    cells: list[str]


class ServerSection(NamedTuple):
    """The table of a server."""

    name: str
    repeats: str
    rows: list[FigureRow]


def comparison_report(comparison: Comparison) -> str:
    """Render a comparison as one self-contained HTML page."""
    figures = {_RATIOS_PICTURE.key: ratios_figure(comparison)}
    pictures = [_TTFT_PICTURE, _ITL_PICTURE] if comparison.adapters else []
    for picture, name in zip(pictures, ("ttft_p50", "itl_mean"), strict=False):
        figures[picture.key] = adapters_figure(comparison, name)
    return render(
        "comparison.html",
        figures,
        source=source_of_comparison(comparison),
        cards=list(_error_cards(comparison)),
        ratios=_RATIOS_PICTURE,
        of_adapters=pictures,
        servers=[_server_row(server) for server in comparison.servers] if len(comparison.servers) > 1 else [],
        total=_figure_cells("throughput", comparison.total)[:3] if comparison.total else [],
        sections=[_server_section(server) for server in comparison.servers],
        adapters=[_adapter_row(adapter) for adapter in comparison.adapters[:SHOWN_WORST]],
        notes=[note for note in (REPEATS_NOTE if comparison.has_repeats else "", _not_measured(comparison)) if note],
        doubts=comparison.doubts,
    )


def write_comparison_report(comparison: Comparison, path: str | Path) -> None:
    """Write the page to `path`; raises `SpecError` if that fails."""
    write_atomically(path, comparison_report(comparison))


def _not_measured(comparison: Comparison) -> str:
    return not_measured_sentence(comparison.servers)


def _error_cards(comparison: Comparison) -> Iterator[Card]:
    """Yield a card for each headline figure, and one for the verdicts."""
    servers = comparison.servers
    for name, label in _HEADLINE_FIGURES.items():
        errors = comparison.errors(name)
        if errors is None:
            yield Card(label, NOTHING, "not measured")
        elif len(servers) == 1:
            pair = servers[0].figures[name]
            noise = f"; spread of repeats {spread_text(pair.spread)}" if pair.spread is not None else ""
            note = f"{figure_text(name, pair.twin)}, measured {figure_text(name, pair.measured)}{noise}"
            yield Card(label, error_text_of(pair.error), note)
        else:
            note = f"mean of {count(errors.servers, 'server')}; worst {error_text_of(errors.worst)}"
            yield Card(label, f"{100.0 * errors.mean:.1f} %", f"{note}, {errors.worst_server}")
    yield _verdict_card(comparison)


def _verdict_card(comparison: Comparison) -> Card:
    answers = [agreement_text(server.measured_grades, server.grade) for server in comparison.servers]
    tone = "bad" if "differs" in answers else "good" if "same" in answers else ""
    if len(answers) == 1:
        [server] = comparison.servers
        return Card("Verdict", server.grade, f"measured: {grades_text(server.measured_grades)}", tone)
    judged = sum(answer != NOTHING for answer in answers)
    return Card("Verdicts", f"{answers.count('same')} of {judged}", "are the measured ones", tone)


def _server_section(server: ComparedServer) -> ServerSection:
    rows = [
        FigureRow(FIGURE_TITLES[name], _figure_cells(name, server.figures[name])) for name in measured_figures([server])
    ]
    if server.measured_grades:
        rows.append(FigureRow("Verdict", [*_verdict_cells(server), ""]))
    if starved := server.measured_starved:
        answers = [starved_text(starved), starved_text([server.run.starved])]
        rows.append(FigureRow("Starved", [*answers, agreement_text(starved, server.run.starved), ""]))
    return ServerSection(server.name, count(server.repeats, "measured run"), rows)


def _server_row(server: ComparedServer) -> FigureRow:
    cells = [cell for name in SERVER_FIGURES for cell in _figure_cells(name, server.figures[name])[:3]]
    return FigureRow(server.name, [*cells, *_verdict_cells(server)])


def _verdict_cells(server: ComparedServer) -> list[str]:
    grades = server.measured_grades
    return [grades_text(grades), server.grade, agreement_text(grades, server.grade)]


def _figure_cells(name: str, pair: FigurePair) -> list[str]:
    values = (figure_text(name, pair.measured), figure_text(name, pair.twin))
    return [*values, error_text_of(pair.error), spread_text(pair.spread)]


def _adapter_row(adapter: ComparedAdapter) -> FigureRow:
    pairs = [(name, adapter.figures[name]) for name in ADAPTER_FIGURES]
    values = [figure_text(name, value) for name, pair in pairs for value in (pair.measured, pair.twin)]
    verdicts = [grades_text(adapter.measured_grades), adapter.grade]
    return FigureRow(adapter.name, [adapter.server, f"{adapter.requests:,}", *values, *verdicts])
