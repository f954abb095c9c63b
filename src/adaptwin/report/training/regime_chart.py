"""Errors of the distilled models by regime, as a figure."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

import plotly.graph_objects as go

from adaptwin.report.style.plots import (
    FIRST_COLOUR,
    SECOND_COLOUR,
    THIRD_COLOUR,
    escaped,
    from_the_top,
    log_ticks,
    significant,
    template,
)
from adaptwin.report.style.words import count
from adaptwin.surrogate.findings import Findings, RegimeLine

LONGEST_NAME = 20  # characters of the name of a regime beside its row


class Mark(NamedTuple):
    """One kind of error in the figure of the regimes."""

    name: str
    value: Callable[[RegimeLine], float]
    colour: str
    symbol: str


_MARKS = (
    Mark("throughput, mean", lambda line: line.throughput, FIRST_COLOUR, "circle"),
    Mark("ITL, mean", lambda line: line.itl, SECOND_COLOUR, "diamond"),
    Mark("TTFT, median", lambda line: line.ttft, THIRD_COLOUR, "square"),
)


def regimes_figure(findings: Findings) -> go.Figure:
    """Draw the errors of the distilled models, a row per regime, grouped by the quantity that defines the regimes."""
    regimes = findings.regimes
    figure = go.Figure()
    for mark in _MARKS:
        values = [mark.value(line) for line in regimes]
        figure.add_scatter(
            mode="markers",
            name=mark.name,
            x=[significant(value) if value > 0.0 else None for value in values],
            y=[_row_name(line) for line in regimes],
            customdata=[
                f"{_row_name(line)}<br>{mark.name} error {value:.1f} %, {count(line.runs, 'run')}"
                for line, value in zip(regimes, values, strict=True)
            ],
            hovertemplate="%{customdata}<extra></extra>",
            marker={"color": mark.colour, "symbol": mark.symbol, "size": 8},
        )
    rows: dict[str, str] = {}  # the label of each row, from top to bottom
    for dimension, lines in by_dimension(regimes):
        title = escaped(dimension)
        rows |= {title: ""} | {_row_name(line): escaped(_cut_to_fit(line.regime)) for line in lines}
        figure.add_annotation(text=f"<b>{title}</b>", x=0, xref="paper", xanchor="left", y=title, showarrow=False)
    known = [mark.value(line) for line in regimes for mark in _MARKS]
    ticks = log_ticks(known, lambda value: f"{value:g} %")
    figure.update_xaxes(title_text="error, logarithmic", tickangle=0, **ticks)
    labels = {"tickvals": list(rows), "ticktext": list(rows.values())}
    figure.update_yaxes(ticklabelstandoff=6, **labels, **from_the_top(list(rows)))
    return figure.update_layout(template=template(), height=110 + 26 * len(rows), margin={"t": 36}, showlegend=True)


def by_dimension(regimes: Sequence[RegimeLine]) -> list[tuple[str, list[RegimeLine]]]:
    """Group regimes by the quantity that defines them."""
    return [(dimension, list(lines)) for dimension, lines in groupby(regimes, key=lambda line: line.dimension)]


def _row_name(line: RegimeLine) -> str:
    """The name of a row, with the quantity, because two quantities may have regimes of the same name."""
    return f"{escaped(line.dimension)}: {escaped(line.regime)}"


def _cut_to_fit(regime: str) -> str:
    """Shorten the name of a regime to fit beside the figure on a small screen."""
    return regime if len(regime) <= LONGEST_NAME else f"{regime[: LONGEST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
