"""Registry of objectives: ways to choose among placements, and what each of them promises."""

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
    goal: Goal = "gpus"  # what it optimises
    measure: Measure = len  # measure of a placement; lower is better
    given_gpus: bool = False  # whether the number of GPUs is given rather than found
    promises: bool = True  # whether it promises that no adapter is starved


OBJECTIVES: dict[str, Objective] = {
    "min-gpus": Objective(min_gpus),
    "slo": Objective(slo),
    "min-cost": Objective(min_cost, goal="price", measure=price_of_servers),
    "min-latency": Objective(min_latency, goal="latency", given_gpus=True),
    "max-throughput": Objective(max_throughput, goal="throughput", given_gpus=True, promises=False),
}


def objective_named(name: str) -> Objective:
    """Return the objective with this name; raises `SpecError`, listing all names, if there is none."""
    if name not in OBJECTIVES:
        raise SpecError(f"{name!r} is not one of {', '.join(OBJECTIVES)}", "objective")
    return OBJECTIVES[name]


def with_given_gpus() -> list[str]:
    """Return the names of the objectives that need a given number of GPUs."""
    return [name for name, objective in OBJECTIVES.items() if objective.given_gpus]
