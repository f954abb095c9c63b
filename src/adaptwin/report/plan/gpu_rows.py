"""Layout of the figures that have one row per GPU."""

import plotly.graph_objects as go

from adaptwin.plan.plan import Plan
from adaptwin.report.style.plots import escaped, from_the_top, template

_LONGEST_LABEL = 25  # characters of a name beside the figure: a longer one would take its width


def with_gpu_rows(figure: go.Figure, plan: Plan, *, row: int) -> go.Figure:
    """Lay out a figure with one row per GPU, the first on top; with many GPUs the rows are thinner."""
    names = [escaped(server.name) for server in plan.servers]
    figure.update_yaxes(showgrid=False, ticklabelstandoff=6, **from_the_top(names))
    if any(len(server.name) > _LONGEST_LABEL for server in plan.servers):
        labels = [escaped(_shortened_label(server.name)) for server in plan.servers]
        figure.update_yaxes(tickmode="array", tickvals=names, ticktext=labels)
    figure.update_layout(
        template=template(),
        barmode="overlay",
        bargap=0.25,
        height=max(150, 100 + min(row * len(names), 900 + 3 * len(names))),
        margin={"t": 36},
    )
    return figure


def _shortened_label(name: str) -> str:
    """Return a name, or the beginning and the end of a long one."""
    half = (_LONGEST_LABEL - 1) // 2
    return name if len(name) <= _LONGEST_LABEL else f"{name[:half]}…{name[-half:]}"
