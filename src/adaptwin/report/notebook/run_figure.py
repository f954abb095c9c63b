"""A figure of a simulated run: what happened over time if that was recorded, and otherwise its adapters."""

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from adaptwin.report.series_chart import series_figure, significant_or_none
from adaptwin.report.style.plots import (
    BAD_COLOUR,
    FIRST_COLOUR,
    FROM_ZERO,
    SECOND_COLOUR,
    escaped,
    standing_alone,
    template,
    time_ticks,
)
from adaptwin.report.style.words import duration, number
from adaptwin.twin.run import VERDICTS, Run

_VERDICT_COLOURS = {
    "starved": BAD_COLOUR,
    "backlogged": SECOND_COLOUR,
    "slow": "#ee3377",
    "unknown": "#bbbbbb",
    "ok": FIRST_COLOUR,
}


def run_figure(run: Run) -> go.Figure:
    """Draw the time series of a run if it was recorded, and its adapters otherwise."""
    series = run.series
    figure = _adapters_figure(run.adapters) if series is None or len(series) < 2 else series_figure(series)
    title = f"{escaped(run.profile)}, max_loras {run.server.max_loras}: {run.grade}"
    return standing_alone(figure, title)


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
            x=significant_or_none(rows["offered_throughput"]),
            y=significant_or_none(rows[column]),
            customdata=labels,
            hovertemplate="%{customdata}<extra></extra>",
            marker={"color": _VERDICT_COLOURS[verdict], "size": 6},
            legendgroup=verdict,
            showlegend=place == 1,
            row=place,
            col=1,
        )


def _adapter_label(row: dict[str, float | str | None]) -> str:
    ttft = row["ttft_p99"]
    tail = f"TTFT p99 {duration(ttft)}" if isinstance(ttft, float) else "no request finished"
    served, offered = (number(float(row[name] or 0.0)) for name in ("throughput", "offered_throughput"))
    return f"<b>{escaped(str(row['name']))}</b>, rank {row['rank']}<br>{served} of {offered} tokens/s<br>{tail}"
