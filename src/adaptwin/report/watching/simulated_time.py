"""The report on a simulated time: GPUs, traffic and overloaded adapters, as totals, as a picture and as a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from adaptwin.live.watching.simulated_stretch import SimulatedStretch
from adaptwin.report.style.page import Card, Picture, render
from adaptwin.report.style.plots import BAD_COLOUR, FIRST_COLOUR, SECOND_COLOUR, THIRD_COLOUR, template
from adaptwin.report.style.words import count, number
from adaptwin.writing import write_atomically

_HOUR = 3600.0
_MOST_TICKS = 6
_COLOURS = (FIRST_COLOUR, SECOND_COLOUR, THIRD_COLOUR, BAD_COLOUR)
_PICTURE = Picture(
    "time",
    "GPUs, overloaded adapters and traffic over time",
    "From above: the GPUs that run or start, the adapters that are starved or backlogged, and the requests per second.",
)


class StretchTotals(NamedTuple):
    """Totals of the stretches of a simulated time."""

    hours: float
    gpu_hours: float
    most_gpus: int
    moves: int
    restarts: int
    overloaded_hours: float  # adapters times hours

    @classmethod
    def of(cls, stretches: Sequence[SimulatedStretch], every: float) -> "StretchTotals":
        """Return the totals of stretches of `every` seconds."""
        hours = every / _HOUR
        return cls(
            hours=hours * len(stretches),
            gpu_hours=hours * sum(stretch.gpus for stretch in stretches),
            most_gpus=max((stretch.gpus for stretch in stretches), default=0),
            moves=sum(stretch.moves for stretch in stretches),
            restarts=sum(stretch.restarts for stretch in stretches),
            overloaded_hours=hours * sum(len(stretch.overloaded) for stretch in stretches),
        )

    def sentence(self) -> str:
        """Say the totals in a line."""
        return (
            f"{number(self.hours)} hours: {number(self.gpu_hours)} GPU-hours, at most {count(self.most_gpus, 'GPU')}; "
            f"{count(self.moves, 'move')}, {count(self.restarts, 'restart')}; {number(self.overloaded_hours)} "
            "overloaded adapter-hours."
        )


def simulated_time_figure(ways: Mapping[str, Sequence[SimulatedStretch]], every: float) -> go.Figure:
    """Draw GPUs and overloaded adapters of one or several ways to run a fleet, and the traffic that they had."""
    figure = make_subplots(rows=3, shared_xaxes=True, vertical_spacing=0.07, row_heights=[0.45, 0.25, 0.3])
    for (name, stretches), colour in zip(ways.items(), _COLOURS, strict=False):
        hours = [(stretch.start) / _HOUR for stretch in stretches]
        ends = [*hours, hours[-1] + every / _HOUR] if hours else []
        for row, values in (
            (1, [stretch.gpus for stretch in stretches]),
            (2, [len(stretch.overloaded) for stretch in stretches]),
        ):
            figure.add_scatter(
                row=row,
                col=1,
                x=ends,
                y=[*values, *values[-1:]],
                mode="lines",
                line={"shape": "hv", "color": colour, "width": 1.6},
                name=name,
                legendgroup=name,
                showlegend=row == 1 and len(ways) > 1,
                hovertemplate="%{y}<extra>" + name + "</extra>",
            )
    first = next(iter(ways.values()))
    figure.add_scatter(
        row=3,
        col=1,
        x=[stretch.start / _HOUR for stretch in first] + [(first[-1].start + every) / _HOUR],
        y=[float(f"{stretch.requests:.4g}") for stretch in (*first, first[-1])],
        mode="lines",
        line={"shape": "hv", "color": "#767c85", "width": 1.4},
        showlegend=False,
        hovertemplate="%{y:.3~g} requests/s<extra></extra>",
    )
    for row, title in ((1, "GPUs"), (2, "overloaded<br>adapters"), (3, "requests/s")):
        figure.update_yaxes(row=row, col=1, title_text=title, rangemode="tozero", tickformat=",")
    if max(stretch.gpus for stretches in ways.values() for stretch in stretches) <= _MOST_TICKS:
        figure.update_yaxes(row=1, col=1, dtick=1)
    figure.update_xaxes(row=3, col=1, title_text="hours")
    return figure.update_layout(template=template(), height=520, margin={"t": 36}, hovermode="x unified")


def write_simulated_time_report(
    ways: Mapping[str, Sequence[SimulatedStretch]], every: float, path: str | Path, *, source: str
) -> None:
    """Write the page of a simulated time; raises `SpecError` if that fails."""
    totals = {name: StretchTotals.of(stretches, every) for name, stretches in ways.items()}
    first = next(iter(totals.values()))
    page = render(
        "watch.html",
        {_PICTURE.key: simulated_time_figure(ways, every)},
        source=source,
        cards=[
            Card("GPU-hours", number(first.gpu_hours), f"in {number(first.hours)} hours"),
            Card("GPUs", f"{first.most_gpus:,}", "at most"),
            Card("Moves", f"{first.moves:,}", f"{count(first.restarts, 'restart')}"),
            Card(
                "Overloaded",
                number(first.overloaded_hours),
                "adapter-hours, starved or backlogged",
                "bad" if first.overloaded_hours else "good",
            ),
        ],
        picture=_PICTURE,
        rows=totals.items(),
    )
    write_atomically(path, page)
