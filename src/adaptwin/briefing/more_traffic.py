"""with_more_traffic: what happens to a plan when all its traffic grows, and what it then needs."""

from collections.abc import Iterator
from typing import Literal

from adaptwin.briefing.briefing import MoreTraffic
from adaptwin.errors import Infeasible, SpecError
from adaptwin.placement.planner import find_plan
from adaptwin.placement.verification.fresh_seeds import verification_seed
from adaptwin.placement.verification.verify import serving_cases
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.progress import Progress, renamed
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.twin.run import Grade
from adaptwin.twin.simulate import simulate_many

MOST_FAILING_SIMULATED = 64  # of the servers that fail; the others are counted as overloaded


def with_more_traffic(
    plan: Plan, factor: float, surrogate: Surrogate | Literal["shipped"] | None, progress: Progress
) -> MoreTraffic:
    """Return what happens to a plan with `factor` times its traffic, and the GPUs of a new plan for that traffic.

    A server whose headroom is smaller than the additional traffic does not hold. It is simulated, for its verdict.
    """
    grown = plan.model_copy(update={"workload": plan.workload.scaled(factor)})
    failing = dict(_servers_that_fail(plan, grown, factor))
    problem, found = "", None
    try:
        found = find_plan(
            plan.profiles,
            grown.workload,
            plan.options,
            seed=plan.seed,
            server=plan.settings,
            surrogate=surrogate,
            progress=renamed(progress, f"planning {factor:g} times the traffic"),
            described=False,
        )
    except (Infeasible, SpecError) as error:
        problem = str(error)
    return MoreTraffic(
        factor,
        failing,
        found.gpus if found else None,
        found.cost_per_hour if found else None,
        verified=found is not None and found.verified,
        problem=problem,
    )


def _servers_that_fail(plan: Plan, grown: Plan, factor: float) -> Iterator[tuple[str, Grade]]:
    """Yield the servers whose headroom is too small, each with the worst verdict of a run."""
    short = [
        server
        for server in plan.serving
        if server.forecast and not server.forecast.headroom_is_open and server.forecast.headroom < factor - 1.0
    ]
    simulated = short[:MOST_FAILING_SIMULATED]
    cases = serving_cases(grown, simulated, verification_seed(plan, 0)) if simulated else []
    for server, run in zip(simulated, simulate_many(cases), strict=True):
        yield server.name, run.worst if run.worst != "ok" else _limit_verdict(server)
    yield from ((server.name, _limit_verdict(server)) for server in short[MOST_FAILING_SIMULATED:])


def _limit_verdict(server: PlacedServer) -> Grade:
    """Return the verdict on a server beyond its headroom that was not simulated, or was ok with this one seed."""
    return "slow" if server.forecast and server.forecast.binding == "slo" else "backlogged"
