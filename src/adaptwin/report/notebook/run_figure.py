"""A figure of a simulated run: what happened over time if that was recorded, and otherwise its adapters."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from adaptwin.report.style.plots import (
    BAD_COLOUR,
    FIRST_COLOUR,
    FROM_ZERO,
    SECOND_COLOUR,
    THIRD_COLOUR,
    escaped,
    significant,
    standing_alone,
    template,
    time_ticks,
)
from adaptwin.report.style.words import duration, number
from adaptwin.twin.run import VERDICTS, Run

SHOWN_TIMES = 1200  # points of a line; of a longer series, each is a mean
_VERDICT_COLOURS = {
    "starved": BAD_COLOUR,
    "backlogged": SECOND_COLOUR,
    "slow": "#ee3377",
    "unknown": "#bbbbbb",
    "ok": FIRST_COLOUR,
}


class TimeLine(NamedTuple):
    """A line of the figure over time."""

    row: int
    column: str
    name: str
    colour: str


_TIME_LINES = (
    TimeLine(1, "running", "running requests", FIRST_COLOUR),
    TimeLine(1, "waiting", "waiting requests", SECOND_COLOUR),
    TimeLine(2, "adapters", "adapters in the batch", THIRD_COLOUR),
    TimeLine(3, "kv_usage", "KV cache in use", FIRST_COLOUR),
    TimeLine(4, "tokens", "tokens/s of finished requests", FIRST_COLOUR),
)
_ROW_TITLES = ("requests", "adapters", "KV cache", "tokens/s")


def run_figure(run: Run) -> go.Figure:
    """Draw the time series of a run if it was recorded, and its adapters otherwise."""
    series = run.series
    figure = _adapters_figure(run.adapters) if series is None or len(series) < 2 else _series_figure(series)
    title = f"{escaped(run.profile)}, max_loras {run.server.max_loras}: {run.grade}"
    return standing_alone(figure, title)


def _series_figure(series: pl.DataFrame) -> go.Figure:
    points = _thinned_series(series)
    figure = make_subplots(rows=len(_ROW_TITLES), cols=1, shared_xaxes=True, vertical_spacing=0.05)
    for line in _TIME_LINES:
        figure.add_scatter(
            x=points["time"].to_list(),
            y=_significant_or_none(points[line.column]),
            mode="lines",
            name=line.name,
            line={"color": line.colour, "width": 1.5},
            showlegend=line.row == 1,
            row=line.row,
            col=1,
        )
    for row, title in enumerate(_ROW_TITLES, start=1):
        figure.update_yaxes(title_text=title, rangemode="tozero", row=row, col=1)
    figure.update_yaxes(tickformat=".0%", row=3, col=1)
    figure.update_xaxes(title_text="seconds", row=len(_ROW_TITLES), col=1)
    return figure.update_layout(template=template(), height=560, margin={"t": 44})


def _thinned_series(series: pl.DataFrame) -> pl.DataFrame:
    """Return the columns to draw, with means over times if there are many; tokens are those since the point before."""
    step = math.ceil(len(series) / SHOWN_TIMES)
    means = [pl.col(name).mean() for name in ("running", "waiting", "kv_usage", "adapters")]
    groups = series.with_row_index("place").group_by(pl.col("place") // step, maintain_order=True)
    points = groups.agg(pl.col("time").last(), *means, pl.col("finished_tokens").last())
    before = {name: pl.col(name).shift(1, fill_value=0) for name in ("time", "finished_tokens")}
    tokens, seconds = pl.col("finished_tokens") - before["finished_tokens"], pl.col("time") - before["time"]
    return points.with_columns(pl.when(seconds > 0).then(tokens / seconds).alias("tokens"))


def _adapters_figure(table: pl.DataFrame) -> go.Figure:
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    offered = table.filter(pl.col("offered_throughput") > 0)
    for verdict in reversed(VERDICTS):
        if len(rows := offered.filter(pl.col("verdict") == verdict)):
            _add_adapters(figure, verdict, rows)
    known = (seconds for seconds in offered["ttft_p99"] if seconds is not None)
    figure.update_xaxes(type="log")
    figure.update_xaxes(title_text="offered tokens/s of the adapter, logarithmic", row=2, col=1)
    figure.update_yaxes(title_text="TTFT p99", row=1, col=1, **time_ticks(list(known)))
    figure.update_yaxes(title_text="served tokens/s", row=2, col=1, **FROM_ZERO)
    figure.update_yaxes(type="log", row=2, col=1)
    return figure.update_layout(template=template(), height=460, margin={"t": 44}, showlegend=True)


def _add_adapters(figure: go.Figure, verdict: str, rows: pl.DataFrame) -> None:
    labels = [_adapter_label(row) for row in rows.iter_rows(named=True)]
    for place, column in ((1, "ttft_p99"), (2, "throughput")):
        figure.add_scatter(
            mode="markers",
            name=f"{verdict} ({len(rows):,})",
            x=_significant_or_none(rows["offered_throughput"]),
            y=_significant_or_none(rows[column]),
            customdata=labels,
            hovertemplate="%{customdata}<extra></extra>",
            marker={"color": _VERDICT_COLOURS[verdict], "size": 6},
            legendgroup=verdict,
            showlegend=place == 1,
            row=place,
            col=1,
        )


def _significant_or_none(values: Iterable[float | None]) -> list[float | None]:
    return [None if value is None else significant(value) for value in values]


def _adapter_label(row: dict[str, float | str | None]) -> str:
    ttft = row["ttft_p99"]
    tail = f"TTFT p99 {duration(ttft)}" if isinstance(ttft, float) else "no request finished"
    served, offered = (number(float(row[name] or 0.0)) for name in ("throughput", "offered_throughput"))
    return f"<b>{escaped(str(row['name']))}</b>, rank {row['rank']}<br>{served} of {offered} tokens/s<br>{tail}"
