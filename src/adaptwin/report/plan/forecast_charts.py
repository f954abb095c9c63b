"""Figures of the simulated performance of each GPU: throughput, latencies, KV cache."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import plotly.graph_objects as go

from adaptwin.plan.forecast import Forecast
from adaptwin.plan.plan import Plan
from adaptwin.report.plan.gpu_rows import with_gpu_rows
from adaptwin.report.style.plots import (
    BAD_COLOUR,
    FIRST_COLOUR,
    FROM_ZERO,
    SECOND_COLOUR,
    escaped,
    significant,
    time_ticks,
)
from adaptwin.report.style.words import duration, number, percent


class ForecastMark(NamedTuple):
    """A value of the forecast of each GPU, and how a figure marks it."""

    name: str
    value: Callable[[Forecast], float]
    colour: str = FIRST_COLOUR
    symbol: str = "circle"


def throughput_figure(plan: Plan) -> go.Figure:
    """Draw the tokens/s offered to each GPU and served by it."""
    offered = ForecastMark("offered", lambda forecast: forecast.offered_throughput, SECOND_COLOUR, "line-ns-open")
    served = ForecastMark("served", lambda forecast: forecast.throughput)
    return _dots(plan, [served, offered], axis={"title_text": "tokens/s", **FROM_ZERO}, write=number)


def ttft_figure(plan: Plan) -> go.Figure:
    """Draw the median and the 99th percentile of the time to first token on each GPU."""
    median = ForecastMark("p50", lambda forecast: forecast.ttft_p50)
    tail = ForecastMark("p99", lambda forecast: forecast.ttft_p99, SECOND_COLOUR, "diamond")
    forecasts = [server.forecast for server in plan.servers if server.forecast]
    limit = plan.options.ttft_p99
    shown = [seconds for one in forecasts for seconds in (one.ttft_p50, one.ttft_p99)]
    ticks = time_ticks([*shown, *([limit] if limit else [])])
    figure = _dots(plan, [median, tail], axis={"title_text": "TTFT, logarithmic", **ticks}, write=duration)
    return _with_objectives(_with_limit(figure, plan, limit, 1.0), plan, "slo_ttft", 1.0)


def itl_figure(plan: Plan) -> go.Figure:
    """Draw the mean and the 99th percentile of the inter-token latency on each GPU, in milliseconds."""
    mean = ForecastMark("mean", lambda forecast: 1e3 * forecast.itl_mean)
    tail = ForecastMark("p99", lambda forecast: 1e3 * forecast.itl_p99, SECOND_COLOUR, "diamond")
    axis = {"title_text": "milliseconds", **FROM_ZERO}
    figure = _dots(plan, [mean, tail], axis=axis, write=lambda value: duration(value / 1e3))
    return _with_objectives(_with_limit(figure, plan, plan.options.itl_p99, 1e3), plan, "slo_itl", 1e3)


def _with_limit(figure: go.Figure, plan: Plan, limit: float | None, scale: float) -> go.Figure:
    """Draw the limit on the 99th percentile that every server must keep, if there is one."""
    if limit is not None:
        names = [escaped(server.name) for server in plan.servers]
        figure.add_scatter(
            mode="lines+markers" if len(names) == 1 else "lines",
            name=f"limit on p99: {duration(limit)}",
            x=[scale * limit] * len(names),
            y=names,
            hoverinfo="skip",
            line={"color": BAD_COLOUR, "width": 1.5, "dash": "dash"},
            marker={"symbol": "line-ns-open", "size": 14, "color": BAD_COLOUR},
            showlegend=True,
        )
    return figure


def _with_objectives(
    figure: go.Figure, plan: Plan, objective: Literal["slo_ttft", "slo_itl"], scale: float
) -> go.Figure:
    """Mark the strictest objective among the adapters of each server that have one."""
    wanted = {
        adapter.name: seconds
        for adapter in plan.workload.adapters
        if (seconds := getattr(adapter, objective)) is not None
    }
    strictest = {
        server.name: min(wanted[name] for name in server.adapters if name in wanted)
        for server in plan.servers
        if any(name in wanted for name in server.adapters)
    }
    if strictest:
        figure.add_scatter(
            mode="markers",
            name="strictest objective of an adapter",
            x=[significant(scale * seconds) for seconds in strictest.values()],
            y=[escaped(name) for name in strictest],
            customdata=[duration(seconds) for seconds in strictest.values()],
            hovertemplate="%{y}<br>strictest objective %{customdata}<extra></extra>",
            marker={
                "color": BAD_COLOUR,
                "symbol": "line-ns-open",
                "size": 12,
                "line": {"width": 2, "color": BAD_COLOUR},
            },
        )
    return figure


def kv_figure(plan: Plan) -> go.Figure:
    """Draw the share of the KV cache in use on each GPU, averaged over time."""
    usage = ForecastMark("KV cache in use", lambda forecast: 100.0 * forecast.kv_usage)
    axis = {"title_text": "percent of the KV cache", "range": [0, 102]}
    return _dots(plan, [usage], axis=axis, write=lambda value: percent(value / 100.0))


def _dots(
    plan: Plan, marks: Sequence[ForecastMark], *, axis: dict[str, Any], write: Callable[[float], str]
) -> go.Figure:
    """Draw a row per GPU, with a mark per value of its forecast."""
    known = [(escaped(server.name), server.forecast) for server in plan.servers if server.forecast]
    figure = go.Figure()
    for mark in marks:
        values = [mark.value(forecast) for _, forecast in known]
        figure.add_scatter(
            mode="markers",
            name=mark.name,
            x=[significant(value) for value in values],
            y=[name for name, _ in known],
            customdata=[write(value) for value in values],
            hovertemplate=f"%{{y}}<br>{mark.name} %{{customdata}}<extra></extra>",
            marker={"color": mark.colour, "symbol": mark.symbol, "size": 9, "line": _edge(mark)},
        )
    figure.update_xaxes(**axis)
    figure.update_layout(showlegend=len(marks) > 1)
    return with_gpu_rows(figure, plan, row=22)


def _edge(mark: ForecastMark) -> dict[str, Any]:
    return {"width": 2 if mark.symbol.endswith("-open") else 0, "color": mark.colour}
