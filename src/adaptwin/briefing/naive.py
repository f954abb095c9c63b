"""naive_plan: how many GPUs a fleet needs without a planner, for comparison."""

from typing import Literal

from adaptwin.briefing.briefing import NaivePlan
from adaptwin.errors import Infeasible, SpecError
from adaptwin.placement.packing.fewest_servers import fewest_servers
from adaptwin.placement.packing.problem import Assignment, Problem, items_to_place, shares_of_parts
from adaptwin.placement.packing.slot_rule import SLOT_EACH
from adaptwin.placement.planner import find_plan
from adaptwin.placement.strategies.registry import Strategy
from adaptwin.plan.constraints import NO_CONSTRAINTS
from adaptwin.plan.plan import Plan
from adaptwin.progress import Progress, renamed
from adaptwin.surrogate.surrogate import Surrogate

_PLANNED_ONLY = {"constraints": NO_CONSTRAINTS, "allow_merged": False, "strategy": "round_robin"}


def naive_plan(plan: Plan, surrogate: Surrogate | Literal["shipped"] | None, progress: Progress) -> NaivePlan:
    """Return the fewest GPUs of a fleet whose adapters are dealt to servers in turn, with a slot for each of them.

    It has the goal, the headroom, the spare GPUs and the limits of the plan, but no constraints and no merged weights.
    """
    options = plan.options.model_copy(update=_PLANNED_ONLY)
    try:
        found = find_plan(
            plan.profiles,
            plan.workload,
            options,
            strategy=Strategy(dealt_with_a_slot_each),
            seed=plan.seed,
            server=plan.settings,
            surrogate=surrogate,
            progress=renamed(progress, "planning naively"),
            described=False,
        )
    except (Infeasible, SpecError) as error:
        return NaivePlan(None, None, verified=False, problem=str(error))
    return NaivePlan(found.gpus, found.cost_per_hour, found.verified)


def dealt_with_a_slot_each(problem: Problem) -> list[Assignment]:
    """Deal adapters to servers in the order of the workload; `max_loras` of a server is the number of its adapters."""
    items = items_to_place(problem)
    return fewest_servers(
        problem, items, lambda servers: [shares_of_parts(items[i::servers]) for i in range(servers)], SLOT_EACH
    )
