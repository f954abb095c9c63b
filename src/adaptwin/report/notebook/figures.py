"""The figures of a plan as a notebook shows them: by name, each drawn when it is asked for."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import plotly.graph_objects as go

from adaptwin.plan.plan import Plan
from adaptwin.report.plan.pictures import plan_pictures
from adaptwin.report.plan.server_noun import server_noun
from adaptwin.report.plan.slot_chart import choices_figure
from adaptwin.report.style.plots import escaped, standing_alone


class PlanFigures(Mapping[str, go.Figure]):
    """The figures of a plan's report, by name; every access draws the figure anew, so that it may be changed."""

    def __init__(self, draw: Mapping[str, Callable[[], go.Figure]]) -> None:
        self._draw = draw

    def __getitem__(self, name: str) -> go.Figure:
        return self._draw[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._draw)

    def __len__(self) -> int:
        return len(self._draw)

    def __repr__(self) -> str:
        return f"PlanFigures({', '.join(map(repr, self))})"

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)


def plan_figures(plan: Plan) -> PlanFigures:
    """Return the figures of a plan: those of its report, and one for each server of which several slots were tried."""
    drawn: dict[str, Callable[[], go.Figure]] = {
        picture.key: partial(_titled, draw, plan, picture.title) for picture, draw in plan_pictures(server_noun(plan))
    }
    for server in plan.servers:
        if server.choices:
            title = f"Why max_loras of {escaped(server.name)} is {server.server.max_loras}"
            drawn[f"max_loras {server.name}"] = partial(_titled, choices_figure, server, title)
    return PlanFigures(drawn)


def _titled(draw: Callable[..., go.Figure], value: object, title: str) -> go.Figure:
    return standing_alone(draw(value), title)
