"""Layout of the figures that have one row per GPU."""

import plotly.graph_objects as go

from adaptwin.plan.plan import Plan
from adaptwin.report.style.plots import escaped, from_the_top, template


def with_gpu_rows(figure: go.Figure, plan: Plan, *, row: int) -> go.Figure:
    """Lay out a figure with one row per GPU, the first on top; with many GPUs the rows are thinner."""
    names = [escaped(server.name) for server in plan.servers]
    figure.update_yaxes(showgrid=False, ticklabelstandoff=6, **from_the_top(names))
    figure.update_layout(
        template=template(),
        barmode="overlay",
        bargap=0.25,
        height=max(150, 100 + min(row * len(names), 900 + 3 * len(names))),
        margin={"t": 36},
    )
    return figure
