"""The report on a simulated time: GPUs, traffic and overloaded adapters, as totals, as a picture and as a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from adaptwin.live.watching.simulated_stretch import SimulatedStretch
from adaptwin.report.style.page import Card, Picture, render
from adaptwin.report.style.plots import BAD_COLOUR, FIRST_COLOUR, template
from adaptwin.report.style.words import count, number
from adaptwin.workload.rates_over_time import HOUR
from adaptwin.writing import write_atomically

_MOST_TICKS = 6
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
        hours = every / HOUR
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


def simulated_time_figure(stretches: Sequence[SimulatedStretch], every: float) -> go.Figure:
    """Draw the GPUs, the overloaded adapters and the traffic of a simulated time, one below the other."""
    figure = make_subplots(rows=3, shared_xaxes=True, vertical_spacing=0.07, row_heights=[0.45, 0.25, 0.3])
    whole = [*stretches, stretches[-1]._replace(start=stretches[-1].start + every)]  # to the end of the last stretch
    rows: tuple[tuple[str, list[float], str, str], ...] = (
        ("GPUs", [stretch.gpus for stretch in whole], FIRST_COLOUR, "%{y} GPUs"),
        ("overloaded<br>adapters", [len(each.overloaded) for each in whole], BAD_COLOUR, "%{y} overloaded adapters"),
        ("requests/s", [float(f"{each.requests:.4g}") for each in whole], "#767c85", "%{y:.3~g} requests/s"),
    )
    for row, (title, values, colour, hover) in enumerate(rows, start=1):
        figure.add_scatter(
            row=row,
            col=1,
            x=[stretch.start / HOUR for stretch in whole],
            y=values,
            mode="lines",
            line={"shape": "hv", "color": colour, "width": 1.6},
            showlegend=False,
            hovertemplate=f"{hover}<extra></extra>",
        )
        figure.update_yaxes(row=row, col=1, title_text=title, rangemode="tozero", tickformat=",")
    if max(stretch.gpus for stretch in stretches) <= _MOST_TICKS:
        figure.update_yaxes(row=1, col=1, dtick=1)
    figure.update_xaxes(row=3, col=1, title_text="hours")
    return figure.update_layout(template=template(), height=520, margin={"t": 36}, hovermode="x unified")


def write_simulated_time_report(
    stretches: Sequence[SimulatedStretch], every: float, path: str | Path, *, source: str
) -> None:
    """Write the page of a simulated time of at least one stretch; raises `SpecError` if that fails."""
    totals = StretchTotals.of(stretches, every)
    page = render(
        "watch.html",
        {_PICTURE.key: simulated_time_figure(stretches, every)},
        source=source,
        cards=[
            Card("GPU-hours", number(totals.gpu_hours), f"in {number(totals.hours)} hours"),
            Card("GPUs", f"{totals.most_gpus:,}", "at most"),
            Card("Moves", f"{totals.moves:,}", f"{count(totals.restarts, 'restart')}"),
            Card(
                "Overloaded",
                number(totals.overloaded_hours),
                "adapter-hours, starved or backlogged",
                "bad" if totals.overloaded_hours else "good",
            ),
        ],
        picture=_PICTURE,
    )
    write_atomically(path, page)
