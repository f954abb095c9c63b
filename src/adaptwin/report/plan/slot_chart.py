"""A figure of the performance of a server with other values of max_loras."""

from collections.abc import Callable
from typing import Any, NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from adaptwin.plan.forecast import TriedSlots
from adaptwin.plan.plan import PlacedServer
from adaptwin.report.style.plots import BAD_COLOUR, FIRST_COLOUR, FROM_ZERO, SECOND_COLOUR, significant, template
from adaptwin.report.style.words import duration, number


class ChoiceKind(NamedTuple):
    """A kind of value that was tried, and how it is drawn."""

    name: str
    holds: Callable[[TriedSlots, int], bool]
    marker: dict[str, Any]


_CHOICE_KINDS = (
    ChoiceKind(
        "tried",
        lambda choice, chosen: choice.max_loras != chosen and choice.starts and choice.verdict in (None, "ok"),
        {"symbol": "circle", "size": 7, "color": FIRST_COLOUR},
    ),
    ChoiceKind(
        "not ok",
        lambda choice, chosen: choice.max_loras != chosen and choice.starts and choice.verdict not in (None, "ok"),
        {"symbol": "triangle-down-open", "size": 9, "color": BAD_COLOUR, "line": {"width": 2}},
    ),
    ChoiceKind(
        "does not start",
        lambda choice, _: not choice.starts,
        {"symbol": "x-thin-open", "size": 8, "color": "#8c8c8c", "line": {"width": 2}},
    ),
    ChoiceKind(
        "chosen",
        lambda choice, chosen: choice.max_loras == chosen and choice.starts,
        {"symbol": "star", "size": 14, "color": SECOND_COLOUR},
    ),
)


def choices_figure(server: PlacedServer) -> go.Figure:
    """Draw throughput and mean ITL of a server against ``max_loras``, with the chosen value marked."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.09)
    for row, value in ((1, _choice_throughput), (2, _choice_itl)):
        _add_choices(figure, server, value, row=row)
    ticks = [str(choice.max_loras) for choice in _in_order(server)]
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=ticks)
    figure.update_xaxes(title_text="max_loras", row=2, col=1)
    figure.update_yaxes(nticks=5, **FROM_ZERO)
    figure.update_yaxes(title_text="tokens/s", row=1, col=1)
    figure.update_yaxes(title_text="mean ITL, ms", row=2, col=1)
    return figure.update_layout(template=template(), height=340, margin={"t": 44})


def _add_choices(figure: go.Figure, server: PlacedServer, value: Callable[[TriedSlots], float], *, row: int) -> None:
    choices = _in_order(server)
    started = [choice for choice in choices if choice.starts]
    line = {"color": "rgba(128,128,128,0.6)", "width": 1.5}
    figure.add_scatter(
        x=[str(choice.max_loras) for choice in started],
        y=[significant(value(choice)) for choice in started],
        mode="lines",
        line=line,
        hoverinfo="skip",
        showlegend=False,
        row=row,
        col=1,
    )
    for kind in _CHOICE_KINDS:
        shown = [choice for choice in choices if kind.holds(choice, server.server.max_loras)]
        if shown and (row == 1 or any(choice.starts for choice in shown)):
            figure.add_scatter(
                x=[str(choice.max_loras) for choice in shown],
                y=[significant(value(choice)) for choice in shown],
                mode="markers",
                name=kind.name,
                marker=kind.marker,
                cliponaxis=False,
                customdata=[_describe_choice(choice) for choice in shown],
                hovertemplate="%{customdata}<extra></extra>",
                showlegend=row == 1,
                legendgroup=kind.name,
                row=row,
                col=1,
            )


def _in_order(server: PlacedServer) -> list[TriedSlots]:
    return sorted(server.choices, key=lambda choice: choice.max_loras)


def _choice_throughput(choice: TriedSlots) -> float:
    return choice.throughput if choice.starts else 0.0


def _choice_itl(choice: TriedSlots) -> float:
    return 1e3 * choice.itl_mean if choice.starts else 0.0


def _describe_choice(choice: TriedSlots) -> str:
    if not choice.starts:
        return f"<b>max_loras {choice.max_loras}</b><br>does not start: too little memory is left for the KV cache"
    return (
        f"<b>max_loras {choice.max_loras}</b>: {choice.verdict or 'not judged'}<br>"
        f"{number(choice.throughput)} tokens/s, ITL mean {duration(choice.itl_mean)}<br>"
        f"TTFT p50 {duration(choice.ttft_p50)}, KV cache {choice.kv_cache_tokens:,} tokens"
    )
