"""The learning curve of a training, as a figure."""

from collections.abc import Callable
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from adaptwin.report.style.plots import BAD_COLOUR, FIRST_COLOUR, FROM_ZERO, SECOND_COLOUR, significant, template
from adaptwin.surrogate.findings import CurvePoint, Findings


class Curve(NamedTuple):
    """One score against the number of mixes."""

    name: str
    value: Callable[[CurvePoint], float]
    colour: str
    row: int
    write: Callable[[float], str]


_CURVES = (
    Curve("throughput", lambda point: point.throughput, FIRST_COLOUR, 1, lambda value: f"error {value:.1f} %"),
    Curve("mean ITL", lambda point: point.itl, SECOND_COLOUR, 1, lambda value: f"error {value:.1f} %"),
    Curve("starvation", lambda point: point.starvation_f1, BAD_COLOUR, 2, lambda value: f"F1 {value:.3f}"),
)


def curve_figure(findings: Findings) -> go.Figure:
    """Draw the errors of the large models, and F1 of starvation below, against the number of mixes trained on."""
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
