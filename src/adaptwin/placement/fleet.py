"""plan_fleet: the plans for a fleet file, with some of its options overridden."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from adaptwin.errors import SpecError
from adaptwin.placement.find_plans import find_plans
from adaptwin.placement.objectives.registry import objective_named
from adaptwin.placement.strategies.registry import strategy_named
from adaptwin.plan.fleet import Fleet
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plans import Plans
from adaptwin.profile.profile import Profile
from adaptwin.progress import Progress, silent
from adaptwin.surrogate.surrogate import Surrogate


def require_known_names(fleet: Fleet) -> None:
    """Raise `SpecError` where the fleet names an objective or a strategy that does not exist."""
    try:
        objective_named(fleet.planning.objective)
        strategy_named(fleet.planning.strategy)
    except SpecError as error:
        raise SpecError(error.message, f"planning.{error.field}") from None


def plan_fleet(
    fleet: Fleet,
    profiles: Sequence[Profile],
    overrides: Mapping[str, Any],
    *,
    arrivals: str | None = None,
    seed: int | None = None,
    surrogate: Surrogate | Literal["shipped"] | None = "shipped",
    progress: Progress = silent,
) -> Plans:
    """Find a plan for each base model of a fleet with the options of its file, some of them overridden.

    Args:
        fleet: The fleet; see `read_fleet`.
        profiles: Profiles of the GPUs; see `fleet_profiles`.
        overrides: Fields of `PlanOptions` to use instead of the file's. Prices are added to those of the file.
        arrivals: Arrivals of the adapters that have none of their own, instead of the file's.
        seed: Seed of the planner's draws, instead of the fleet's.
        surrogate: Surrogate to use, as in `make_plan`.
        progress: Function that receives the progress, as in `make_plan`.

    Raises:
        Infeasible: An adapter cannot be served at all, or the given GPUs do not suffice.
        SpecError: The options contradict each other, the profiles or the workload, or an adapter does not name its
            base although the profiles have several base models.
    """
    fields = {**dict(fleet.planning), **overrides}
    fields["prices"] = fleet.planning.prices | dict(overrides.get("prices") or {})
    workload = fleet.workload
    return find_plans(
        profiles,
        workload if arrivals is None else workload.with_arrivals(arrivals),
        PlanOptions.of(fields),
        seed=fleet.seed if seed is None else seed,
        server=fleet.server,
        surrogate=surrogate,
        progress=progress,
    )
