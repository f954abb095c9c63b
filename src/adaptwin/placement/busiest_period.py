"""Plans for a fleet whose rates change over time: for its busiest period, and held in all others.

The busiest period has the most tokens per second. The traffic of a fleet may shift between adapters, so that a server
has more to do in another period than in that one. So the twin simulates the plan in every period. Where servers fail,
the rates of their adapters are raised to the highest of the periods in which they fail, and the plan is made again.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from adaptwin.errors import Infeasible
from adaptwin.placement.find_plans import find_plans, share_of_time
from adaptwin.placement.verification.fresh_seeds import Verifications, verification_seed
from adaptwin.placement.verification.verify import verify
from adaptwin.plan.by_base import by_base
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import Plan
from adaptwin.plan.plan_over_time import PlanOverTime
from adaptwin.plan.plans import Plans
from adaptwin.profile.profile import Profile
from adaptwin.progress import Progress, silent
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.twin.server import Server
from adaptwin.workload.rates_over_time import RatesOverTime
from adaptwin.workload.workload import Workload

MOST_PLANS_MADE = 5  # plans that are made; each holds more periods than the one before

Failing = dict[int, set[str]]  # by period, the names of the servers that fail in it


class _Round(NamedTuple):
    """Plans for some rates, and the periods in which each of them fails."""

    plans: Plans
    failing: list[Failing]  # of each plan


def plans_for_busiest_period(
    profiles: Sequence[Profile],
    workload: Workload,
    rates: RatesOverTime,
    options: PlanOptions,
    *,
    seed: int = 0,
    server: Server | None = None,
    surrogate: Surrogate | Literal["shipped"] | None = "shipped",
    progress: Progress = silent,
) -> tuple[PlanOverTime, ...]:
    """Find a plan for each base model that holds in every period, by the twin; see the module.

    A plan that fails in some period after the last round is not verified. Under an objective that promises nothing, the
    other periods are not simulated. Other arguments are those of `find_plans`.

    Args:
        profiles: Profiles of the GPUs.
        workload: The adapters, with their ranks, lengths and arrivals; its rates and its duration do not count.
        rates: Rates of all adapters of the workload.
        options: Options of the plans; the time limit is that of all rounds.
        seed: Seed of the planner's draws.
        server: Settings that all servers must have.
        surrogate: Surrogate to use.
        progress: Function that receives the progress.

    Raises:
        Infeasible: There is no plan for the busiest period.
        SpecError: As `find_plans` does.
    """
    started = time.perf_counter()
    parts = by_base(workload, profiles)
    busiest = {part.base: rates.busiest(part.workload) for part in parts}
    planned = {
        adapter.name: rates.rates_in(busiest[part.base])[adapter.name]
        for part in parts
        for adapter in part.workload.adapters
    }
    rounds: list[_Round] = []
    while not rounds or (len(rounds) < MOST_PLANS_MADE and any(rounds[-1].failing)):
        limit = options.time_limit and share_of_time(options.time_limit, started, MOST_PLANS_MADE - len(rounds))
        try:
            plans = find_plans(
                profiles,
                rates.workload_of(planned, workload),
                options.model_copy(update={"time_limit": limit}),
                seed=seed,
                server=server,
                surrogate=surrogate,
                progress=progress,
            )
        except Infeasible:
            if not rounds:
                raise
            break
        rounds.append(_Round(plans, [failing_periods(plan, rates, progress) for plan in plans.plans]))
        for plan, failing in zip(plans.plans, rounds[-1].failing, strict=True):
            planned |= _raised_rates(planned, plan, rates, failing)
    return tuple(
        PlanOverTime.of(
            _with_bounds_of(first, plan), rates, busiest[plan.base], [each.failing[index] for each in rounds]
        )
        for index, (first, plan) in enumerate(zip(rounds[0].plans.plans, rounds[-1].plans.plans, strict=True))
    )


def _with_bounds_of(first: Plan, plan: Plan) -> Plan:
    """Return a plan with the bounds of the one that was made for the busiest period alone.

    Its own bounds are for the rates that were raised, which no period has together.
    """
    if plan is first:
        return plan
    bounds = {"lower_bound": first.lower_bound, "cost_bound": first.cost_bound}
    return plan.model_copy(update={**bounds, "estimated_optimum": None, "alternatives": ()})


def _raised_rates(planned: Mapping[str, float], plan: Plan, rates: RatesOverTime, failing: Failing) -> dict[str, float]:
    """Return the rates of the adapters on failing servers, at least those of the periods in which they fail."""
    raised: dict[str, float] = {}
    adapters = {server.name: server.adapters for server in plan.servers}
    for place, servers in failing.items():
        there = rates.rates_in(place)
        for name in (name for server in servers for name in adapters[server]):
            raised[name] = max(raised.get(name, planned[name]), there[name])
    return raised


def failing_periods(plan: Plan, rates: RatesOverTime, progress: Progress = silent) -> Failing:
    """Return the periods in which some server of a plan fails, with these servers; none if the plan promises nothing.

    The period whose rates the plan was verified with is not simulated again.
    """
    if not plan.promises:
        return {}
    found: Failing = {}
    for place in range(len(rates)):
        progress("checking periods", place, len(rates))
        if not (plan.verified and rates.workload_in(place, plan.workload) == plan.workload):
            found[place] = failing_in_period(plan, rates, place)
    progress("checking periods", len(rates), len(rates))
    return {place: servers for place, servers in found.items() if servers}


def failing_in_period(plan: Plan, rates: RatesOverTime, place: int) -> set[str]:
    """Return the servers of a plan that fail with the traffic of a period, all running or after planned failures.

    All servers are simulated, because adapters that are alike in one period are not in another.
    """
    options = plan.options.model_copy(update={"verify": "all"})
    there = plan.model_copy(update={"workload": rates.workload_in(place, plan.workload), "options": options})
    failing = Verifications().failing(there)
    if plan.failover:
        states = verify(there, verification_seed(there, 0)).failovers
        failing |= {state.servers[index].name for state in states for index in state.failing}
    return failing
