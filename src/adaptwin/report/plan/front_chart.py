"""The figure of a front: latency against the number of GPUs."""

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from adaptwin.plan.front import Front, FrontPoint
from adaptwin.report.style.plots import BAD_COLOUR, FIRST_COLOUR, FROM_ZERO, SECOND_COLOUR, significant, template
from adaptwin.report.style.words import duration, percent


def front_figure(front: Front) -> go.Figure:
    """Draw the 99th percentiles of ITL and TTFT on the worst server against the number of GPUs."""
    points = front.points
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.09)
    for row, values in ((1, [1e3 * point.itl_p99 for point in points]), (2, [point.ttft_p99 for point in points])):
        figure.add_scatter(
            x=[str(point.gpus) for point in points],
            y=[significant(value) for value in values],
            mode="lines+markers",
            line={"color": FIRST_COLOUR, "width": 2},
            marker={"size": 11, "color": [_marker_colour(point, first=not at) for at, point in enumerate(points)]},
            customdata=[_hover_text(point) for point in points],
            hovertemplate="%{customdata}<extra></extra>",
            cliponaxis=False,
            showlegend=False,
            row=row,
            col=1,
        )
    figure.update_xaxes(type="category")
    figure.update_xaxes(title_text="GPUs", row=2, col=1)
    figure.update_yaxes(nticks=5, **FROM_ZERO)
    figure.update_yaxes(title_text="ITL p99, ms", row=1, col=1)
    figure.update_yaxes(title_text="TTFT p99, s", row=2, col=1)
    return figure.update_layout(template=template(), height=360, margin={"t": 24})


def _marker_colour(point: FrontPoint, *, first: bool) -> str:
    if not point.verified:
        return BAD_COLOUR
    return SECOND_COLOUR if first else FIRST_COLOUR


def _hover_text(point: FrontPoint) -> str:
    verified = "verified" if point.verified else "not verified"
    return (
        f"<b>{point.gpus:,} GPUs</b>, {verified}<br>ITL p99 {duration(point.itl_p99)}, "
        f"TTFT p99 {duration(point.ttft_p99)}<br>lowest headroom {percent(point.headroom)}"
    )
