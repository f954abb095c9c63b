"""find_front: the fewest GPUs for a fleet, and what more of them would gain in latency."""

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from adaptwin.errors import Infeasible, SpecError
from adaptwin.placement.objectives.registry import objective_named
from adaptwin.placement.planner import find_plan
from adaptwin.plan.front import Front
from adaptwin.plan.options import MOST_GPUS, PlanOptions
from adaptwin.plan.plan import Plan
from adaptwin.profile.profile import Profile
from adaptwin.progress import Progress, of_several, silent
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.twin.server import Server
from adaptwin.workload.workload import Workload

MORE_SERVERS = (1, 2, 3)  # beyond the fewest; on a large fleet, each step is at least `LEAST_STEP` of it
LEAST_STEP = 0.05


def find_front(
    profiles: Sequence[Profile],
    workload: Workload,
    options: PlanOptions,
    *,
    seed: int = 0,
    server: Server | None = None,
    surrogate: Surrogate | Literal["shipped"] | None = "shipped",
    progress: Progress = silent,
) -> Front:
    """Find a plan with these options, and plans with the lowest latency on one, two and three servers more.

    On fleets of over twenty servers, the steps are 5 %, 10 % and 15 % of the servers. All plans but the first are for
    the profile of most servers of the first. `PlanOptions.latency` says which latency they lower. A time limit is
    shared out equally among the plans.

    Raises:
        Infeasible: There is no plan with these options.
        SpecError: The options use a given number of GPUs, ask for spare GPUs or a confidence, or allow merged weights;
            or as `find_plan` does.
    """
    _require_finds_gpus(options)

    def found(number: int, asked: PlanOptions, on: Sequence[Profile]) -> Plan:
        return find_plan(
            on,
            workload,
            asked,
            seed=seed,
            server=server,
            surrogate=surrogate,
            progress=of_several(progress, number, 1 + len(MORE_SERVERS)),
        )

    if options.time_limit:
        options = options.model_copy(update={"time_limit": options.time_limit / (1 + len(MORE_SERVERS))})
    first = found(0, options, profiles)
    names = [each.profile for each in first.servers]
    usual = next(profile for profile in first.profiles if profile.name == max(names, key=names.count))
    plans = [first]
    for number, gpus in enumerate(_more_gpus(first, usual), 1):
        update = {"objective": "min-latency", "gpus": gpus, "strategy": "pack", "prices": {}}  # `usual` has its price
        try:
            plans.append(found(number, options.model_copy(update=update), [usual]))
        except Infeasible:  # as with constraints that leave no use for more servers
            continue
    return Front.of(plans)


def _require_finds_gpus(options: PlanOptions) -> None:
    """Raise `SpecError` if the options ask for what plans on more GPUs than the fewest do not have."""
    if objective_named(options.objective).given_gpus:
        raise SpecError(f"{options.objective} has the number of GPUs given; a front needs one that finds it", "front")
    if options.allow_merged:
        raise SpecError("allow_merged: plans on more GPUs have no servers with merged weights", "front")
    if options.confidence is not None:
        raise SpecError(f"confidence {options.confidence:g}: plans on more GPUs are not made for one", "front")
    if options.spare:
        raise SpecError(f"{options.spare} spare GPUs: a front has none", "front")


def _more_gpus(first: Plan, profile: Profile) -> Iterator[int]:
    size = profile.tensor_parallel_size
    fewest = math.ceil(first.gpus / size)
    for more in MORE_SERVERS:
        gpus = size * (fewest + max(more, math.ceil(more * LEAST_STEP * fewest)))
        if gpus <= MOST_GPUS:
            yield gpus
