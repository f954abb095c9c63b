"""Front: plans for the same fleet on more and more GPUs, and the latency that each buys."""

from typing import Self

from pydantic import Field

from adaptwin.lazy import function_from
from adaptwin.plan.plan import Plan
from adaptwin.spec import Spec


class FrontPoint(Spec):
    """A plan of a front, in figures. Latencies in seconds, those of the worst server."""

    gpus: int = Field(description="number of GPUs")
    cost_per_hour: float | None = Field(description="price of the GPUs per hour; None where a price is unknown")
    itl_p99: float = Field(description="99th percentile of the ITL on the worst server, in seconds")
    ttft_p99: float = Field(description="99th percentile of the TTFT on the worst server, in seconds")
    headroom: float = Field(description="lowest headroom of a server, as a share")
    verified: bool = Field(description="whether the plan held in simulations with fresh arrivals")
    gains: bool = Field(description="whether the plan has a lower latency than all verified ones on fewer GPUs")


class Front(Spec):
    """Plans for one fleet: on the fewest GPUs, and then with the lowest latency on given larger numbers of GPUs."""

    _facts = function_from("adaptwin.report.notebook.front_view", "front_facts")
    _repr_html_ = function_from("adaptwin.report.notebook.front_view", "front_html")

    plans: tuple[Plan, ...] = Field(min_length=1, description="the plans, by rising number of GPUs")

    @property
    def points(self) -> tuple[FrontPoint, ...]:
        """The plans in figures, in the same order."""
        return tuple(self._points())

    def _points(self) -> list[FrontPoint]:
        points: list[FrontPoint] = []
        kind = self.plans[0].options.latency
        for plan in self.plans:
            point = _point_of(plan)
            best = min((_compared_latency(each, kind) for each in points if each.verified), default=float("inf"))
            points.append(point.model_copy(update={"gains": plan.verified and _compared_latency(point, kind) < best}))
        return points

    @classmethod
    def of(cls, plans: list[Plan]) -> Self:
        """Return the front of these plans, in any order."""
        return cls(plans=tuple(sorted(plans, key=lambda plan: plan.gpus)))


def _compared_latency(point: FrontPoint, kind: str) -> float:
    return point.itl_p99 if kind == "itl" else point.ttft_p99


def _point_of(plan: Plan) -> FrontPoint:
    forecasts = [server.forecast for server in plan.servers if server.forecast]
    return FrontPoint(
        gpus=plan.gpus,
        cost_per_hour=plan.cost_per_hour,
        itl_p99=max(forecast.itl_p99 for forecast in forecasts),
        ttft_p99=max(forecast.ttft_p99 for forecast in forecasts),
        headroom=min(forecast.headroom for forecast in forecasts),
        verified=plan.verified,
        gains=False,
    )
