"""A figure of the popularity of the adapters: how the traffic is distributed over them."""

import math
from collections import defaultdict
from collections.abc import Iterable

import plotly.graph_objects as go

from adaptwin.plan.plan import Plan
from adaptwin.report.plan.ranks import rank_colour, rank_name
from adaptwin.report.style.plots import FROM_ZERO, escaped, significant, template

SHOWN_POINTS = 1500  # points of the popularity curve


def popularity_figure(plan: Plan) -> go.Figure:
    """Draw the request rate of each adapter, from the most to the least popular, coloured by rank."""
    every = zip(plan.workload.rates, plan.workload.adapters, strict=True)
    served = sorted(((rate, adapter) for rate, adapter in every if rate > 0), key=lambda each: -each[0])
    rates, adapters = [rate for rate, _ in served], [adapter for _, adapter in served]
    totals: dict[int, int] = defaultdict(int)
    for adapter in plan.workload.adapters:
        totals[adapter.rank] += 1
    shown = list(_thinned(len(adapters)))
    figure = go.Figure()
    for rank, total in sorted(totals.items()):
        places = [place for place in shown if adapters[place].rank == rank]
        figure.add_scatter(
            mode="markers",
            name=f"{rank_name(rank)} ({total:,})",
            x=[place + 1 for place in places],
            y=[significant(rates[place]) for place in places],
            customdata=[f"<b>{escaped(adapters[place].name)}</b>, {rank_name(rank)}" for place in places],
            hovertemplate="%{customdata}<br>%{y:.3~g} requests/s, number %{x:,}<extra></extra>",
            marker={"color": rank_colour(rank), "size": 5},
        )
    decades = math.log10(rates[0] / rates[-1]) if adapters else 0.0
    figure.update_xaxes(title_text="adapters, most popular first", showgrid=False, **FROM_ZERO)
    figure.update_yaxes(title_text="requests/s, logarithmic", type="log", tickformat="~g")
    figure.update_yaxes(dtick="D2" if decades < 2.5 else 1)
    return figure.update_layout(template=template(), height=320, margin={"t": 36}, showlegend=True)


def _thinned(total: int) -> Iterable[int]:
    """Yield the places to draw on a curve of `total` points: its whole head, and evenly spaced ones from its tail."""
    head = min(total, SHOWN_POINTS // 3)
    step = max(1, math.ceil((total - head) / (SHOWN_POINTS - SHOWN_POINTS // 3)))
    yield from range(head)
    yield from range(head, total, step)
