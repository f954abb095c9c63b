"""find_plans: a verified plan for each base model of a fleet."""

import time
from collections.abc import Sequence
from typing import Any, Literal

from adaptwin.errors import Infeasible, SpecError
from adaptwin.placement.objectives.registry import objective_named
from adaptwin.placement.planner import find_plan
from adaptwin.placement.requirements import priced, require_distinct_names
from adaptwin.plan.by_base import FleetPart, by_base
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import Plan
from adaptwin.plan.plans import Plans
from adaptwin.profile.profile import Profile
from adaptwin.progress import Progress, of_several, silent
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.twin.server import Server
from adaptwin.workload.workload import Workload


def find_plans(
    profiles: Sequence[Profile],
    workload: Workload,
    options: PlanOptions,
    *,
    seed: int = 0,
    server: Server | None = None,
    surrogate: Surrogate | Literal["shipped"] | None = "shipped",
    progress: Progress = silent,
) -> Plans:
    """Find a verified plan for each base model of the profiles; see `make_plans`.

    Raises:
        Infeasible: A base model has no plan; the message names it and the cause.
        SpecError: An adapter names no base or one without a profile, or the options do not suit several base models.
    """
    parts = by_base(workload, profiles)
    divides = len(parts[0].profiles) < len(profiles)
    if divides:
        _require_divisible(options, parts, workload)
        require_distinct_names(profiles)
        priced(profiles, options)  # refuses prices of other profiles
    started, plans = time.perf_counter(), list[Plan]()
    for index, part in enumerate(parts):
        limit = options.time_limit and share_of_time(options.time_limit, started, len(parts) - index)
        try:
            plan = find_plan(
                part.profiles,
                part.workload,
                options.model_copy(update=_of_part(options, part, limit)) if divides else options,
                seed=seed,
                server=server,
                surrogate=surrogate,
                progress=of_several(progress, index, len(parts)),
                taken=_taken(plans, options, part),
            )
        except Infeasible as error:
            raise (Infeasible(f"{part.base}: {error}") if len(parts) > 1 else error) from None
        plans.append(plan)
    return Plans(plans=tuple(plans))


def _require_divisible(options: PlanOptions, parts: Sequence[FleetPart[Workload]], workload: Workload) -> None:
    """Raise `SpecError` for options that cannot be fulfilled with a plan for each base model."""
    if len(parts) > 1 and objective_named(options.objective).given_gpus:
        what = f"{options.objective} uses a given number of GPUs, which is not divided between base models"
        raise SpecError(f"{what}: make a plan for each base model", "objective")
    options.constraints.require_known(workload)
    base_of = {adapter.name: part.base for part in parts for adapter in part.workload.adapters}
    for one, other in options.constraints.group_of().items():
        if base_of[one] != base_of[other]:
            what = f"{one!r} and {other!r} must share a server, but have different base models"
            raise SpecError(f"{what}: {base_of[one]} and {base_of[other]}", "constraints.together")


def _of_part(options: PlanOptions, part: FleetPart[Workload], limit: float | None) -> dict[str, Any]:
    """Return what the options of one base model have of those of the fleet: its own adapters and profiles."""
    names = {profile.name for profile in part.profiles}
    return {
        "constraints": options.constraints.among(part.workload),
        "prices": {name: price for name, price in options.prices.items() if name in names},
        "time_limit": limit,
    }


def share_of_time(limit: float, started: float, plans_left: int) -> float:
    """Return the time limit of the next plan: an equal share, in seconds, of what is left of the limit for all plans.

    Args:
        limit: Time limit for all plans, in seconds.
        started: When the first plan was begun, on the clock of `time.perf_counter`.
        plans_left: Number of plans that are still to be made.
    """
    return max(1e-3, (limit - (time.perf_counter() - started)) / plans_left)


def _taken(plans: Sequence[Plan], options: PlanOptions, part: FleetPart[Workload]) -> set[str]:
    """Return the names of servers of the plans made so far, and those that adapters of other bases are pinned to."""
    own = options.constraints.among(part.workload).pinned
    pinned = {server for adapter, server in options.constraints.pinned.items() if adapter not in own}
    return pinned | {server.name for plan in plans for server in plan.servers}
