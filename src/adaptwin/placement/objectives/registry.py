"""Registry of objectives: ways to choose among placements, and what each of them promises."""

from typing import TYPE_CHECKING, NamedTuple

from adaptwin.errors import SpecError, not_one_of
from adaptwin.lazy import function_from

if TYPE_CHECKING:
    from adaptwin.placement.objectives.objective import Measure, PlaceOnProfiles
    from adaptwin.plan.plan import Goal


_gpus_of_servers: "Measure" = function_from(f"{__package__}.min_gpus", "gpus_of_servers")


class Objective(NamedTuple):
    """A way to choose among placements."""

    place: "PlaceOnProfiles"
    goal: "Goal" = "gpus"  # what it optimises
    measure: "Measure" = _gpus_of_servers  # measure of a placement; lower is better
    given_gpus: bool = False  # whether the number of GPUs is given rather than found
    mixes: bool = False  # whether it may mix servers of several profiles
    promises: bool = True  # whether it promises that no adapter is starved


def _objective(name: str) -> "PlaceOnProfiles":
    """The function of an objective, from the module of the same name."""
    return function_from(f"{__package__}.{name}", name)


_price_of_servers: "Measure" = function_from(f"{__package__}.min_cost", "price_of_servers")

OBJECTIVES: dict[str, Objective] = {
    "min-gpus": Objective(_objective("min_gpus")),
    "slo": Objective(_objective("slo")),
    "min-cost": Objective(_objective("min_cost"), goal="price", measure=_price_of_servers, mixes=True),
    "min-latency": Objective(_objective("min_latency"), goal="latency", given_gpus=True),
    "max-throughput": Objective(_objective("max_throughput"), goal="throughput", given_gpus=True, promises=False),
}


def objective_named(name: str) -> Objective:
    """Return the objective with this name; raises `SpecError`, listing all names, if there is none."""
    if name not in OBJECTIVES:
        raise SpecError(not_one_of(name, OBJECTIVES), "objective")
    return OBJECTIVES[name]


def with_given_gpus() -> list[str]:
    """Return the names of the objectives that need a given number of GPUs."""
    return [name for name, objective in OBJECTIVES.items() if objective.given_gpus]
