"""Pictures of a comparison: figures of the twin over measured ones, and adapters as measured and as simulated."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from adaptwin.live.comparison import ComparedAdapter, ComparedServer, Comparison
from adaptwin.report.comparison.figure_words import (
    FIGURE_TITLES,
    error_text_of,
    figure_text,
    measured_figures,
    spread_text,
)
from adaptwin.report.style.plots import (
    FIRST_COLOUR,
    SECOND_COLOUR,
    add_diagonal,
    escaped,
    from_the_top,
    log_range,
    significant,
    template,
    time_ticks,
)
from adaptwin.report.style.words import count, duration

MEASURED_COLOUR = "#6b7280"
DRAWN_UP_TO = 2.0  # twin over measured: what is farther off ends at the edge of the picture, and its label tells
ADAPTER_TITLES = {"ttft_p50": "median TTFT", "itl_mean": "mean ITL"}


def ratios_figure(comparison: Comparison) -> go.Figure:
    """Draw the figures of the twin as shares of the measured ones: bars of one server, or a point for each server."""
    servers = comparison.servers
    names = [name for name in measured_figures(servers) if any(_can_be_drawn(each, name) for each in servers)]
    figure = _bars(servers[0], names) if len(servers) == 1 else _points(servers, names)
    titles = [FIGURE_TITLES[name] for name in names]
    errors = [error for each in servers for name in names if (error := each.figures[name].error) is not None]
    farthest = 100.0 * min(DRAWN_UP_TO, max([1.2, *(1.0 + error for error in errors)]))
    figure.add_vline(x=100, line={"color": MEASURED_COLOUR, "width": 1, "dash": "dot"})
    figure.update_xaxes(title_text="share of the measured figure", ticksuffix=" %", range=[0, 1.1 * farthest])
    figure.update_yaxes(ticklabelstandoff=6, **from_the_top(titles))
    rows = (46 if len(servers) == 1 else 28) * len(names)
    return figure.update_layout(template=template(), height=100 + rows, margin={"t": 36}, showlegend=True)


def _can_be_drawn(server: ComparedServer, name: str) -> bool:
    """Whether a figure of the twin is a share of the measured one, which 0 has none of."""
    return bool(server.figures[name].measured) and server.figures[name].error is not None


def _bars(server: ComparedServer, names: Sequence[str]) -> go.Figure:
    """Draw two bars for each figure, measured and twin; repeats have a line from the smallest to the largest."""
    titles, pairs = [FIGURE_TITLES[name] for name in names], [server.figures[name] for name in names]
    measured = [figure_text(name, pair.measured) for name, pair in zip(names, pairs, strict=True)]
    twin = [
        f"{figure_text(name, pair.twin)} ({error_text_of(pair.error)})" for name, pair in zip(names, pairs, strict=True)
    ]
    ratios = [100.0 * (1.0 + pair.error) if pair.error is not None else None for pair in pairs]
    figure = go.Figure()
    edges = [_edges(server, name) for name in names] if server.repeats > 1 else []
    bars: tuple[tuple[str, str, list[Any], list[str], dict[str, Any] | None], ...] = (
        ("measured", MEASURED_COLOUR, [100.0] * len(names), measured, _error_bars(edges) if edges else None),
        ("twin", FIRST_COLOUR, [None if ratio is None else significant(ratio) for ratio in ratios], twin, None),
    )
    for name, colour, values, texts, error_x in bars:
        figure.add_bar(
            name=name,
            orientation="h",
            x=[None if value is None else min(value, 100.0 * DRAWN_UP_TO) for value in values],
            y=titles,
            text=texts,
            textposition="auto",
            insidetextanchor="start",
            textangle=0,
            constraintext="none",
            marker={"color": colour},
            error_x=error_x,
            hovertemplate=f"%{{y}}: %{{text}}<extra>{name}</extra>",
        )
    return figure.update_layout(barmode="group", bargap=0.25, legend={"traceorder": "normal"})


def _edges(server: ComparedServer, name: str) -> tuple[float, float]:
    """Return how far the smallest and the largest of the repeats are from the median, in per cent of it."""
    median = server.figures[name].measured
    values = [value for each in server.observations if (value := each.figures[name]) is not None]
    if not median or not values:
        return 0.0, 0.0
    return 100.0 * (1.0 - min(values) / median), 100.0 * (max(values) / median - 1.0)


def _error_bars(edges: Sequence[tuple[float, float]]) -> dict[str, Any]:
    below, above = zip(*edges, strict=True)
    return {
        "type": "data",
        "array": [significant(value) for value in above],
        "arrayminus": [significant(value) for value in below],
        "thickness": 1,
    }


def _points(servers: Sequence[ComparedServer], names: Sequence[str]) -> go.Figure:
    """Draw a point for each server in the row of each figure."""
    known = [
        (name, server, server.figures[name]) for name in names for server in servers if _can_be_drawn(server, name)
    ]
    figure = go.Figure()
    figure.add_scatter(
        mode="markers",
        name="twin, a point for each server",
        x=[significant(min(100.0 * (1.0 + (pair.error or 0.0)), 100.0 * DRAWN_UP_TO)) for _, _, pair in known],
        y=[FIGURE_TITLES[name] for name, _, _ in known],
        customdata=[
            f"{escaped(server.name)}: {figure_text(name, pair.measured)} measured, {figure_text(name, pair.twin)} "
            f"twin ({error_text_of(pair.error)}), spread of repeats {spread_text(pair.spread)}"
            for name, server, pair in known
        ],
        hovertemplate="%{customdata}<extra></extra>",
        marker={"color": FIRST_COLOUR, "size": 8, "opacity": 0.7},
    )
    return figure


def adapters_figure(comparison: Comparison, name: str) -> go.Figure:
    """Draw a point for each adapter, measured and twin; on the dotted line they agree. `name`: ttft_p50 or itl_mean."""
    known = [(adapter, *pair[:2]) for adapter in comparison.adapters if all((pair := adapter.figures[name])[:2])]
    figure = go.Figure()
    agreeing = [row for row in known if row[0].grade in row[0].measured_grades]
    for title, colour, rows in (
        ("same verdict", FIRST_COLOUR, agreeing),
        ("other verdict", SECOND_COLOUR, [row for row in known if row not in agreeing]),
    ):
        figure.add_scatter(
            mode="markers",
            name=title,
            x=[significant(measured or 0.0) for _, measured, _ in rows],
            y=[significant(twin or 0.0) for _, _, twin in rows],
            customdata=[_adapter_words(adapter, name) for adapter, _, _ in rows],
            hovertemplate="%{customdata}<extra></extra>",
            marker={"color": colour, "size": 7, "opacity": 0.7},
        )
    values = [value for _, *pair in known for value in pair if value] or [1.0]
    add_diagonal(figure, [min(values), max(values)])
    axis = {**time_ticks(values), "range": log_range(values)}
    figure.update_xaxes(title_text=f"{ADAPTER_TITLES[name]}, measured", tickangle=0, **axis)
    figure.update_yaxes(title_text=f"{ADAPTER_TITLES[name]}, twin", **axis)
    return figure.update_layout(template=template(), height=400, margin={"t": 36}, showlegend=True)


def _adapter_words(adapter: ComparedAdapter, name: str) -> str:
    measured, twin = (duration(value or 0.0) for value in adapter.figures[name][:2])
    of = f"{escaped(adapter.name)} on {escaped(adapter.server)}, {count(adapter.requests, 'request')}"
    return f"{of}:<br>{measured} measured, {twin} twin"
