"""replan_plans: new plans for a changed workload with several base models."""

import time
from typing import Literal

from adaptwin.errors import Infeasible, SpecError
from adaptwin.placement.find_plans import share_of_time
from adaptwin.plan.by_base import by_base
from adaptwin.plan.plan import Plan
from adaptwin.plan.plans import Plans
from adaptwin.progress import Progress, of_several, silent
from adaptwin.replanning.costs import MOVE_COST, RESTART_COST
from adaptwin.replanning.replan import replan
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.workload.workload import Workload


def replan_plans(
    plans: Plans,
    workload: Workload,
    *,
    move_cost: float = MOVE_COST,
    restart_cost: float = RESTART_COST,
    seed: int | None = None,
    time_limit: float | None = None,
    surrogate: Surrogate | Literal["shipped"] | None = "shipped",
    progress: Progress = silent,
) -> Plans:
    """Change the plans of a running fleet with several base models, each as `replan` does.

    Every adapter of the workload must name its base, which must be that of one of the plans. Names of new servers are
    new in the whole fleet.

    Args:
        plans: The plans that run.
        workload: The new adapters of all base models, and their traffic.
        move_cost: Cost of moving an adapter that is served now, in GPUs.
        restart_cost: Cost of restarting a server with other settings, in GPUs.
        seed: Seed of every random draw; by default that of each plan.
        time_limit: Seconds for all plans together, after which the search tries no further improvements.
        surrogate: The surrogate that answers where it is confident, as for `make_plan`.
        progress: Called with the current stage, the work done and the total work.

    Raises:
        Infeasible: Some adapter cannot be served at all; the message names it and what prevents it.
        SpecError: An adapter names no base or one without a plan, or no adapter of a plan's base is left.
    """
    parts = {
        part.base: part.workload
        for part in by_base(workload, [profile for plan in plans.plans for profile in plan.profiles])
    }
    if gone := [plan.base for plan in plans.plans if plan.base not in parts]:
        what = f"none is left for {gone[0]}: its servers can be stopped, and the others need a new plan"
        raise SpecError(what, "adapters")
    started, found = time.perf_counter(), list[Plan]()
    for index, plan in enumerate(plans.plans):
        limit = time_limit
        if time_limit is not None and plans.are_several:
            limit = share_of_time(time_limit, started, len(plans.plans) - index)
        others = {
            server.name for other in (*plans.plans, *found) if other.base != plan.base for server in other.servers
        }
        try:
            changed = replan(
                plan,
                parts[plan.base],
                move_cost=move_cost,
                restart_cost=restart_cost,
                seed=seed,
                time_limit=limit,
                surrogate=surrogate,
                progress=of_several(progress, index, len(plans.plans)),
                taken=others,
            )
        except Infeasible as error:
            raise (Infeasible(f"{plan.base}: {error}") if plans.are_several else error) from None
        found.append(changed)
    return Plans(plans=tuple(found))
