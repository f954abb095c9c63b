"""How much each feature matters to the large models, as a figure."""

from collections.abc import Callable
from typing import NamedTuple

import plotly.graph_objects as go

from adaptwin.report.style.plots import BAD_COLOUR, FIRST_COLOUR, SECOND_COLOUR, from_the_top, significant, template
from adaptwin.report.style.words import percent
from adaptwin.surrogate.findings import Findings, Importance
from adaptwin.surrogate.vocabulary import VOCABULARY

SHOWN_FEATURES = 12  # the most important ones


class Bars(NamedTuple):
    """The importances for one output."""

    name: str
    value: Callable[[Importance], float]
    colour: str


_BARS = (
    Bars("throughput", lambda line: line.throughput, FIRST_COLOUR),
    Bars("mean ITL", lambda line: line.itl, SECOND_COLOUR),
    Bars("starvation", lambda line: line.starvation, BAD_COLOUR),
)


def importances_figure(findings: Findings) -> go.Figure:
    """Draw how far answers change when a feature is shuffled among runs, for the features that matter most."""
    lines = findings.importances[:SHOWN_FEATURES]
    phrases = [VOCABULARY[line.feature].phrase for line in lines]
    figure = go.Figure()
    for bars in _BARS:
        values = [bars.value(line) for line in lines]
        figure.add_bar(
            orientation="h",
            name=bars.name,
            x=[significant(100.0 * value) for value in values],
            y=phrases,
            customdata=[f"{bars.name} changes by {percent(value)}" for value in values],
            hovertemplate="%{y}<br>%{customdata}<extra></extra>",
            marker={"color": bars.colour},
        )
    figure.update_xaxes(title_text="change, of the spread of answers", rangemode="tozero", ticksuffix=" %")
    figure.update_yaxes(showgrid=False, ticklabelstandoff=6, **from_the_top(phrases))
    return figure.update_layout(
        template=template(), barmode="group", bargap=0.3, height=110 + 34 * len(lines), margin={"t": 36}
    )
