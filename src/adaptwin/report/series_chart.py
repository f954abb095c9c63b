"""A figure of a simulated run over time: requests, adapters in the batch, KV cache, and tokens/s."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from adaptwin.report.style.plots import FIRST_COLOUR, SECOND_COLOUR, THIRD_COLOUR, significant, template

SHOWN_TIMES = 1200  # points of a line, at most; of a longer series, each is a mean


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


def series_figure(series: pl.DataFrame, most: int = SHOWN_TIMES) -> go.Figure:
    """Draw the time series of a run, with at most so many points in each line."""
    points = _thinned_series(series, most)
    figure = make_subplots(rows=len(_ROW_TITLES), cols=1, shared_xaxes=True, vertical_spacing=0.05)
    for line in _TIME_LINES:
        figure.add_scatter(
            x=points["time"].to_list(),
            y=significant_or_none(points[line.column]),
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


def _thinned_series(series: pl.DataFrame, most: int) -> pl.DataFrame:
    """Return the columns to draw, with means over times if there are many; tokens are those since the point before."""
    step = math.ceil(len(series) / most)
    means = [pl.col(name).mean() for name in ("running", "waiting", "kv_usage", "adapters")]
    groups = series.with_row_index("place").group_by(pl.col("place") // step, maintain_order=True)
    points = groups.agg(pl.col("time").last(), *means, pl.col("finished_tokens").last())
    before = {name: pl.col(name).shift(1, fill_value=0) for name in ("time", "finished_tokens")}
    tokens, seconds = pl.col("finished_tokens") - before["finished_tokens"], pl.col("time") - before["time"]
    return points.with_columns(pl.when(seconds > 0).then(tokens / seconds).alias("tokens"))


def significant_or_none(values: Iterable[float | None]) -> list[float | None]:
    """Round to five significant digits; None, which leaves a gap, stays or stands for what is not finite."""
    return [None if value is None else significant(value) for value in values]
