"""plan_fleet: the plans for a fleet file, with some of its options overridden."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from adaptwin.errors import SpecError
from adaptwin.placement.busiest_period import plans_for_busiest_period
from adaptwin.placement.find_front import find_front
from adaptwin.placement.find_plans import find_plans
from adaptwin.placement.objectives.registry import objective_named
from adaptwin.placement.strategies.registry import strategy_named
from adaptwin.plan.fleet import Fleet
from adaptwin.plan.front import Front
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan_over_time import PlanOverTime
from adaptwin.plan.plans import Plans
from adaptwin.profile.profile import Profile
from adaptwin.progress import Progress, silent
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.twin.verdict import require_long_enough
from adaptwin.workload.rates_over_time import RatesOverTime
from adaptwin.workload.workload import Workload


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
    return find_plans(
        profiles,
        _with_arrivals(fleet, arrivals),
        _options(fleet, overrides),
        seed=fleet.seed if seed is None else seed,
        server=fleet.server,
        surrogate=surrogate,
        progress=progress,
    )


def plan_fleet_over_time(
    fleet: Fleet,
    profiles: Sequence[Profile],
    rates: RatesOverTime,
    overrides: Mapping[str, Any],
    *,
    arrivals: str | None = None,
    seed: int | None = None,
    surrogate: Surrogate | Literal["shipped"] | None = "shipped",
    progress: Progress = silent,
) -> tuple[PlanOverTime, ...]:
    """Find a plan for each base model of a fleet that holds in every period of its rates over time; see `plan_fleet`.

    Raises:
        Infeasible: There is no plan for the busiest period.
        SpecError: As `plan_fleet` does, or the periods are too short to show that a server is ok.
    """
    workload = _with_arrivals(fleet, arrivals)
    try:
        require_long_enough(rates.workload_in(0, workload))
    except SpecError as error:
        raise SpecError(error.message, "period") from None
    return plans_for_busiest_period(
        profiles,
        workload,
        rates,
        _options(fleet, overrides),
        seed=fleet.seed if seed is None else seed,
        server=fleet.server,
        surrogate=surrogate,
        progress=progress,
    )


def front_of_fleet(
    fleet: Fleet,
    profiles: Sequence[Profile],
    overrides: Mapping[str, Any],
    *,
    arrivals: str | None = None,
    seed: int | None = None,
    surrogate: Surrogate | Literal["shipped"] | None = "shipped",
    progress: Progress = silent,
) -> Front:
    """Find the front of a fleet, with the options of its file, some of them overridden; see `plan_fleet`.

    Raises:
        Infeasible: An adapter cannot be served at all.
        SpecError: As `plan_fleet` does; or the options use a given number of GPUs or ask for spare ones, or the
            profiles have several base models.
    """
    if len({profile.model.name for profile in profiles}) > 1:
        raise SpecError("a front is for one base model, but the profiles have several", "front")
    return find_front(
        profiles,
        _with_arrivals(fleet, arrivals),
        _options(fleet, overrides),
        seed=fleet.seed if seed is None else seed,
        server=fleet.server,
        surrogate=surrogate,
        progress=progress,
    )


def _options(fleet: Fleet, overrides: Mapping[str, Any]) -> PlanOptions:
    fields = {**dict(fleet.planning), **overrides}
    fields["prices"] = fleet.planning.prices | dict(overrides.get("prices") or {})
    return PlanOptions.of(fields)


def _with_arrivals(fleet: Fleet, arrivals: str | None) -> Workload:
    return fleet.workload if arrivals is None else fleet.workload.with_arrivals(arrivals)
