"""The pictures of a training, as plotly figures: pure functions of its findings."""

import math
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from adaptwin.report.style.plots import (
    BAD,
    FIRST,
    FROM_ZERO,
    SECOND,
    THIRD,
    escaped,
    log_ticks,
    significant,
    template,
    time_ticks,
)
from adaptwin.report.style.words import count, duration, number, percent
from adaptwin.surrogate.findings import CurvePoint, Findings, Importance, RegimeLine
from adaptwin.surrogate.vocabulary import VOCABULARY

SHOWN_FEATURES = 12  # the most important ones
LONGEST_NAME = 20  # of a regime beside its row
VERDICT_COLOURS = {"ok": FIRST, "slow": THIRD, "backlogged": SECOND, "starved": BAD}
_GUIDE = {"color": "rgba(128,128,128,0.8)", "width": 1, "dash": "dot"}


class Compared(NamedTuple):
    """A figure that twin and guess both have, and how its axes are written."""

    name: str  # in the columns of the sample
    title: str
    ticks: Callable[[Sequence[float]], dict[str, Any]]
    write: Callable[[float], str]


def throughput_figure(findings: Findings) -> go.Figure:
    """Served tokens/s of some runs: as the twin had them against as the distilled model guessed them."""
    return _guesses(findings, Compared("throughput", "tokens/s", lambda values: log_ticks(values, number), number))


def itl_figure(findings: Findings) -> go.Figure:
    """The same for the mean inter-token latency."""
    return _guesses(findings, Compared("itl_mean", "mean ITL", time_ticks, duration))


def ttft_figure(findings: Findings) -> go.Figure:
    """The same for the median time to first token."""
    return _guesses(findings, Compared("ttft_p50", "median TTFT", time_ticks, duration))


def _guesses(findings: Findings, of: Compared) -> go.Figure:
    """A point per run, coloured by its verdict; on the dotted line, guess and twin agree."""
    names = [f"twin_{of.name}", f"predicted_{of.name}"]
    known = findings.sample.filter(pl.all_horizontal(pl.col(names).is_finite() & (pl.col(names) > 0.0)))
    figure = go.Figure()
    for verdict, colour in VERDICT_COLOURS.items():
        twin, guess = (known.filter(worst=verdict)[name].to_list() for name in names)
        if twin:
            figure.add_scatter(
                mode="markers",
                name=verdict,
                x=[significant(value) for value in twin],
                y=[significant(value) for value in guess],
                customdata=[f"twin {of.write(a)}, guess {of.write(b)}" for a, b in zip(twin, guess, strict=True)],
                hovertemplate=f"%{{customdata}}<extra>{verdict}</extra>",
                marker={"color": colour, "size": 4, "opacity": 0.6},
            )
    twin, guess = (known[name].to_list() or [1.0] for name in names)
    _add_guide(figure, [min(twin), max(twin)])
    figure.update_xaxes(title_text=f"{of.title}, twin", tickangle=0, **of.ticks(twin), range=_log_range(twin))
    figure.update_yaxes(title_text=f"{of.title}, guess", **of.ticks(guess), range=_log_range(guess))
    return figure.update_layout(template=template(), height=360, margin={"t": 36}, showlegend=True)


def _log_range(values: Sequence[float]) -> list[float]:
    return [math.log10(min(values)) - 0.05, math.log10(max(values)) + 0.05]


def _add_guide(figure: go.Figure, ends: Sequence[float]) -> None:
    """A line on which both axes say the same."""
    figure.add_scatter(x=ends, y=ends, mode="lines", line=_GUIDE, hoverinfo="skip", showlegend=False)


class Curve(NamedTuple):
    """One figure of merit against the number of mixes."""

    name: str
    value: Callable[[CurvePoint], float]
    colour: str
    row: int
    write: Callable[[float], str]


_CURVES = (
    Curve("throughput", lambda point: point.throughput, FIRST, 1, lambda value: f"{value:.1f} % off"),
    Curve("mean ITL", lambda point: point.itl, SECOND, 1, lambda value: f"{value:.1f} % off"),
    Curve("starvation", lambda point: point.starvation_f1, BAD, 2, lambda value: f"F1 {value:.3f}"),
)


def curve_figure(findings: Findings) -> go.Figure:
    """Errors of the large models, and F1 of starvation below, against the mixes they were trained on."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.09)
    for curve in _CURVES:
        values = [curve.value(point) for point in findings.curve]
        figure.add_scatter(
            mode="lines+markers",
            name=curve.name,
            x=[point.mixes for point in findings.curve],
            y=[significant(value) for value in values],
            customdata=[curve.write(value) for value in values],
            hovertemplate=f"{curve.name}, %{{x:,}} mixes: %{{customdata}}<extra></extra>",
            line={"color": curve.colour, "width": 1.5},
            marker={"size": 6},
            row=curve.row,
            col=1,
        )
    mixes = [point.mixes for point in findings.curve]
    figure.update_xaxes(type="log", tickvals=mixes, ticktext=[f"{many:,}" for many in mixes], tickangle=0)
    figure.update_xaxes(title_text="mixes trained on, logarithmic", row=2, col=1)
    figure.update_yaxes(title_text="mean error, %", nticks=5, row=1, col=1, **FROM_ZERO)
    figure.update_yaxes(title_text="F1", nticks=5, row=2, col=1)
    return figure.update_layout(template=template(), height=360, margin={"t": 36}, showlegend=True)


def reliability_figure(findings: Findings) -> go.Figure:
    """How often somebody suffered against the probability that the distilled model gave; larger where more runs are."""
    lines = findings.reliability
    most = max((line.runs for line in lines), default=1)
    figure = go.Figure()
    _add_guide(figure, [0.0, 100.0])
    figure.add_scatter(
        mode="lines+markers",
        x=[significant(100.0 * line.probability) for line in lines],
        y=[significant(100.0 * line.frequency) for line in lines],
        customdata=[
            f"{count(line.runs, 'run')}: {percent(line.probability)} guessed, {percent(line.frequency)} happened"
            for line in lines
        ],
        hovertemplate="%{customdata}<extra></extra>",
        line={"color": FIRST, "width": 1},
        marker={"color": FIRST, "opacity": 1.0, "size": [6.0 + 14.0 * math.sqrt(line.runs / most) for line in lines]},
        cliponaxis=False,
        showlegend=False,
    )
    axis = {"range": [-2, 102], "ticksuffix": " %"}
    figure.update_xaxes(title_text="probability guessed", **axis)
    figure.update_yaxes(title_text="share of the runs that were overloaded", **axis)
    return figure.update_layout(template=template(), height=360, margin={"t": 36, "r": 20})


class Bars(NamedTuple):
    """The importances for one output."""

    name: str
    value: Callable[[Importance], float]
    colour: str


_BARS = (
    Bars("throughput", lambda line: line.throughput, FIRST),
    Bars("mean ITL", lambda line: line.itl, SECOND),
    Bars("starvation", lambda line: line.starvation, BAD),
)


def importances_figure(findings: Findings) -> go.Figure:
    """How far answers move when a feature is shuffled among runs, for the features that matter most."""
    lines = findings.importances[:SHOWN_FEATURES]
    phrases = [VOCABULARY[line.feature].phrase for line in lines]
    figure = go.Figure()
    for bars in _BARS:
        values = [bars.value(line) for line in lines]
        figure.add_bar(
            orientation="h",
            name=bars.name,
            x=[significant(100.0 * value) for value in values],
            y=phrases,
            customdata=[f"{bars.name} moves by {percent(value)}" for value in values],
            hovertemplate="%{y}<br>%{customdata}<extra></extra>",
            marker={"color": bars.colour},
        )
    figure.update_xaxes(title_text="of the spread of answers", rangemode="tozero", ticksuffix=" %")
    figure.update_yaxes(showgrid=False, ticklabelstandoff=6, **_downwards(phrases))
    return figure.update_layout(
        template=template(), barmode="group", bargap=0.3, height=110 + 34 * len(lines), margin={"t": 36}
    )


def _downwards(names: Sequence[str]) -> dict[str, Any]:
    """An axis of names, the first on top."""
    ends = [len(names) - 0.4, -0.6]
    return {"type": "category", "categoryorder": "array", "categoryarray": list(names), "range": ends}


class Mark(NamedTuple):
    """One error in the figure of the regimes."""

    name: str
    value: Callable[[RegimeLine], float]
    colour: str
    symbol: str


_MARKS = (
    Mark("throughput, mean", lambda line: line.throughput, FIRST, "circle"),
    Mark("ITL, mean", lambda line: line.itl, SECOND, "diamond"),
    Mark("TTFT, median", lambda line: line.ttft, THIRD, "square"),
)


def regimes_figure(findings: Findings) -> go.Figure:
    """Errors of the distilled models, a row per regime, under the quantity by which the regimes are told apart."""
    regimes = findings.regimes
    figure = go.Figure()
    for mark in _MARKS:
        values = [mark.value(line) for line in regimes]
        figure.add_scatter(
            mode="markers",
            name=mark.name,
            x=[significant(value) if value > 0.0 else None for value in values],
            y=[_row(line) for line in regimes],
            customdata=[
                f"{_row(line)}<br>{mark.name} {value:.1f} % off, {count(line.runs, 'run')}"
                for line, value in zip(regimes, values, strict=True)
            ],
            hovertemplate="%{customdata}<extra></extra>",
            marker={"color": mark.colour, "symbol": mark.symbol, "size": 8},
        )
    rows: dict[str, str] = {}  # what is written beside each, from top to bottom
    for dimension, lines in by_dimension(regimes):
        title = escaped(dimension)
        rows |= {title: ""} | {_row(line): escaped(_short(line.regime)) for line in lines}
        figure.add_annotation(text=f"<b>{title}</b>", x=0, xref="paper", xanchor="left", y=title, showarrow=False)
    known = [mark.value(line) for line in regimes for mark in _MARKS]
    ticks = log_ticks(known, lambda value: f"{value:g} %")
    figure.update_xaxes(title_text="error, logarithmic", tickangle=0, **ticks)
    labels = {"tickvals": list(rows), "ticktext": list(rows.values())}
    figure.update_yaxes(ticklabelstandoff=6, **labels, **_downwards(list(rows)))
    return figure.update_layout(template=template(), height=110 + 26 * len(rows), margin={"t": 36}, showlegend=True)


def by_dimension(regimes: Sequence[RegimeLine]) -> list[tuple[str, list[RegimeLine]]]:
    """Regimes under the quantity by which they are told apart."""
    return [(dimension, list(lines)) for dimension, lines in groupby(regimes, key=lambda line: line.dimension)]


def _row(line: RegimeLine) -> str:
    """The name of a row: two quantities may have a regime of the same name."""
    return f"{escaped(line.dimension)}: {escaped(line.regime)}"


def _short(regime: str) -> str:
    """A name that leaves room for the figure on a small screen."""
    return regime if len(regime) <= LONGEST_NAME else f"{regime[: LONGEST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
