"""Predictions of the surrogate against the twin, as figures: throughput, latencies, probability of overload."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go
import polars as pl

from adaptwin.report.style.plots import (
    BAD_COLOUR,
    FIRST_COLOUR,
    SECOND_COLOUR,
    THIRD_COLOUR,
    add_diagonal,
    log_range,
    log_ticks,
    significant,
    template,
    time_ticks,
)
from adaptwin.report.style.words import count, duration, number, percent
from adaptwin.surrogate.findings import Findings
from adaptwin.twin.run import Verdict

VERDICT_COLOURS: dict[Verdict, str] = {
    "ok": FIRST_COLOUR,
    "unknown": "#8c8c8c",
    "slow": THIRD_COLOUR,
    "backlogged": SECOND_COLOUR,
    "starved": BAD_COLOUR,
}


class Compared(NamedTuple):
    """A figure that both the twin and the distilled model give, and the format of its axes."""

    name: str  # as in the columns of the sample
    title: str
    ticks: Callable[[Sequence[float]], dict[str, Any]]
    write: Callable[[float], str]


def predicted_throughput_figure(findings: Findings) -> go.Figure:
    """Draw the served tokens/s of some runs, as predicted by the distilled model, against the twin."""
    return _predictions(findings, Compared("throughput", "tokens/s", lambda values: log_ticks(values, number), number))


def predicted_itl_figure(findings: Findings) -> go.Figure:
    """Draw the mean inter-token latency of some runs, as predicted by the distilled model, against the twin."""
    return _predictions(findings, Compared("itl_mean", "mean ITL", time_ticks, duration))


def predicted_ttft_figure(findings: Findings) -> go.Figure:
    """Draw the median time to first token of some runs, as predicted by the distilled model, against the twin."""
    return _predictions(findings, Compared("ttft_p50", "median TTFT", time_ticks, duration))


def _predictions(findings: Findings, of: Compared) -> go.Figure:
    """Draw one point per run, coloured by its verdict; on the dotted line, prediction and twin agree."""
    names = [f"twin_{of.name}", f"predicted_{of.name}"]
    known = findings.sample.filter(pl.all_horizontal(pl.col(names).is_finite() & (pl.col(names) > 0.0)))
    figure = go.Figure()
    for verdict, colour in VERDICT_COLOURS.items():
        twin, predicted = (known.filter(worst=verdict)[name].to_list() for name in names)
        if twin:
            figure.add_scatter(
                mode="markers",
                name=verdict,
                x=[significant(value) for value in twin],
                y=[significant(value) for value in predicted],
                customdata=[
                    f"twin {of.write(a)}, prediction {of.write(b)}" for a, b in zip(twin, predicted, strict=True)
                ],
                hovertemplate=f"%{{customdata}}<extra>{verdict}</extra>",
                marker={"color": colour, "size": 4, "opacity": 0.6},
            )
    twin, predicted = (known[name].to_list() or [1.0] for name in names)
    add_diagonal(figure, [min(twin), max(twin)])
    figure.update_xaxes(title_text=f"{of.title}, twin", tickangle=0, **of.ticks(twin), range=log_range(twin))
    figure.update_yaxes(title_text=f"{of.title}, prediction", **of.ticks(predicted), range=log_range(predicted))
    return figure.update_layout(template=template(), height=360, margin={"t": 36}, showlegend=True)


def reliability_figure(findings: Findings) -> go.Figure:
    """Draw how often runs were overloaded against the predicted probability; larger points stand for more runs."""
    lines = findings.reliability
    most = max((line.runs for line in lines), default=1)
    figure = go.Figure()
    add_diagonal(figure, [0.0, 100.0])
    figure.add_scatter(
        mode="lines+markers",
        x=[significant(100.0 * line.probability) for line in lines],
        y=[significant(100.0 * line.frequency) for line in lines],
        customdata=[
            f"{count(line.runs, 'run')}: {percent(line.probability)} predicted, {percent(line.frequency)} overloaded"
            for line in lines
        ],
        hovertemplate="%{customdata}<extra></extra>",
        line={"color": FIRST_COLOUR, "width": 1},
        marker={
            "color": FIRST_COLOUR,
            "opacity": 1.0,
            "size": [6.0 + 14.0 * math.sqrt(line.runs / most) for line in lines],
        },
        cliponaxis=False,
        showlegend=False,
    )
    axis = {"range": [-2, 102], "ticksuffix": " %"}
    figure.update_xaxes(title_text="predicted probability", **axis)
    figure.update_yaxes(title_text="share of the runs that were overloaded", **axis)
    return figure.update_layout(template=template(), height=360, margin={"t": 36, "r": 20})
