"""The objectives: ways to choose among placements, and what each of them promises."""

from typing import NamedTuple

from adaptwin.errors import SpecError
from adaptwin.placement.objectives.max_throughput import max_throughput
from adaptwin.placement.objectives.min_cost import min_cost, price_of_servers
from adaptwin.placement.objectives.min_gpus import min_gpus
from adaptwin.placement.objectives.min_latency import min_latency
from adaptwin.placement.objectives.objective import Measure, PlaceOnProfiles
from adaptwin.placement.objectives.slo import slo
from adaptwin.plan.plan import Goal


class Objective(NamedTuple):
    """A way to choose among placements."""

    place: PlaceOnProfiles
    goal: Goal = "gpus"  # what it makes best
    measure: Measure = len  # of a placement: the lower the better
    given_gpus: bool = False  # whether the number of GPUs is given, not found
    promises: bool = True  # whether no adapter starves under its plans


OBJECTIVES: dict[str, Objective] = {
    "min-gpus": Objective(min_gpus),
    "slo": Objective(slo),
    "min-cost": Objective(min_cost, goal="price", measure=price_of_servers),
    "min-latency": Objective(min_latency, goal="latency", given_gpus=True),
    "max-throughput": Objective(max_throughput, goal="throughput", given_gpus=True, promises=False),
}


def objective_named(name: str) -> Objective:
    """The objective with this name; raises `SpecError`, which lists all of them."""
    if name not in OBJECTIVES:
        raise SpecError(f"{name!r} is not one of {', '.join(OBJECTIVES)}", "objective")
    return OBJECTIVES[name]


def with_given_gpus() -> list[str]:
    """Names of the objectives for a given number of GPUs."""
    return [name for name, objective in OBJECTIVES.items() if objective.given_gpus]
