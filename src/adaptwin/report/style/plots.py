"""The style that all figures share: template, colours, axes, and the form of values."""

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from adaptwin.report.style.words import duration
from adaptwin.visible import visible

# From Paul Tol's colour-blind-safe "vibrant" scheme.
FIRST_COLOUR, SECOND_COLOUR, THIRD_COLOUR, BAD_COLOUR = "#0077bb", "#ee7733", "#009988", "#cc3311"
FROM_ZERO = {"rangemode": "tozero", "tickformat": ","}
_TITLE_HEIGHT = 28  # pixels
_STEPS = (
    (1,),
    (1, 3),
    (1, 2, 5),
    (1, 1.5, 2, 3, 4, 5, 6, 8),
    (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9),
)
_LEAST_TICKS = 3  # between the smallest and the largest value
_DIAGONAL = {"color": "rgba(128,128,128,0.8)", "width": 1, "dash": "dot"}
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def template(*, dark: bool = False) -> go.layout.Template:
    """Return the template that all figures share, for a light or a dark page."""
    text, faint, line = ("#d8dbe0", "#33383f", "#8a9099") if dark else ("#22262c", "#e6e8eb", "#767c85")
    page = "#15181c" if dark else "#ffffff"
    axis = {
        "gridcolor": faint,
        "linecolor": line,
        "zeroline": False,
        "automargin": True,
        "title": {"standoff": 8},
    }
    return go.layout.Template(
        layout={
            "font": {"family": _FONT, "size": 12, "color": text},
            "title": {
                "font": {"size": 14},
                "x": 0,
                "xref": "container",
                "xanchor": "left",
                "yanchor": "top",
                "y": 1,
            },
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "hoverlabel": {"bgcolor": page, "bordercolor": line, "font": {"color": text}, "align": "left"},
            "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1,
                "yanchor": "bottom",
                "itemsizing": "constant",
            },
            "xaxis": axis,
            "yaxis": axis,
        }
    )


def standing_alone(figure: go.Figure, title: str) -> go.Figure:
    """Give a figure outside a page a title above its legend, and a white ground, on which its colours are readable."""
    height = (figure.layout.height or 360) + _TITLE_HEIGHT
    top = (figure.layout.margin.t or 36) + _TITLE_HEIGHT
    figure.update_layout(title={"text": title, "pad": {"l": 8, "t": 8}}, height=height, margin={"t": top})
    return figure.update_layout(paper_bgcolor="#ffffff", plot_bgcolor="#ffffff")


def log_ticks(values: Sequence[float], write: Callable[[float], str]) -> dict[str, Any]:
    """Return a logarithmic axis with labels at round values; the narrower the range, the more of them in a decade."""
    return _axis(_round_values(values, 1.0), write)


def time_ticks(seconds: Sequence[float]) -> dict[str, Any]:
    """Return a logarithmic axis for latencies, with labels at round seconds, minutes and hours."""
    units = ((1.0, 0.0, 60.0), (60.0, 60.0, 3600.0), (3600.0, 3600.0, math.inf))
    ticks = [tick for unit, start, end in units for tick in _round_values(seconds, unit) if start <= tick < end]
    return _axis(ticks, duration)


def _round_values(values: Sequence[float], unit: float) -> list[float]:
    """Return round multiples of the unit around the values: so many in each decade that three are in their range."""
    known = [value / unit for value in values if 0 < value < math.inf] or [1.0 / unit]
    low, high = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    for steps in _STEPS:
        rounded = [step * 10.0**power for power in range(low, high + 1) for step in steps]
        if sum(min(known) <= value <= max(known) for value in rounded) >= _LEAST_TICKS:
            break
    return [unit * value for value in rounded]


def _axis(ticks: Sequence[float], write: Callable[[float], str]) -> dict[str, Any]:
    return {"type": "log", "tickvals": ticks, "ticktext": [write(tick) for tick in ticks]}


def log_range(values: Sequence[float]) -> list[float]:
    """Return the range of a logarithmic axis around positive values."""
    return [math.log10(min(values)) - 0.05, math.log10(max(values)) + 0.05]


def add_diagonal(figure: go.Figure, ends: Sequence[float]) -> None:
    """Draw the dotted line on which both axes have the same value."""
    figure.add_scatter(x=ends, y=ends, mode="lines", line=_DIAGONAL, hoverinfo="skip", showlegend=False)


def from_the_top(names: Sequence[str]) -> dict[str, Any]:
    """Return a vertical axis of names, with the first on top."""
    ends = [len(names) - 0.4, -0.6]
    return {"type": "category", "categoryorder": "array", "categoryarray": list(names), "range": ends}


def escaped(name: str) -> str:
    """Escape HTML in a user's name, because plotly interprets some HTML in every text; show what is invisible."""
    return escape(visible(name), quote=False)


def significant(value: float) -> float | None:
    """Round to five significant digits, to keep the page small; None, which leaves a gap, if not finite."""
    return float(f"{value:.5g}") if math.isfinite(value) else None
