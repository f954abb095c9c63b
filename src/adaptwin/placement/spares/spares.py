"""Spares: a plan with additional GPUs, so that as many GPUs may fail at once with all adapters still served.

Either all servers serve, and those that remain take over the adapters of failed ones (`shared_spares`). Or, where no
such plan is found, the spare GPUs stand by and start with the settings of a failed server, which always works. Where
the servers have several profiles, each profile has its own standbys.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from adaptwin.placement.objectives.objective import Placed, placed
from adaptwin.placement.packing.items import Bin, shares_of
from adaptwin.placement.spares.shared_spares import Arrangement, Failed, ServerAfterFailure, TrialResult, shared_spares
from adaptwin.placement.spares.standby import with_standbys
from adaptwin.placement.verification.fresh_seeds import (
    FAILOVER_VERIFICATIONS,
    Verifications,
    verification_seed,
    verification_seeds,
)
from adaptwin.placement.verification.verify import verify
from adaptwin.plan.check import Check
from adaptwin.plan.failover import Failover
from adaptwin.plan.plan import PlacedServer, Plan


class Spared(NamedTuple):
    """A plan, and its servers with their problems, without standbys."""

    plan: Plan
    servers: list[Placed]


def with_spares(
    plan: Plan,
    servers: list[Placed],
    plan_of: Callable[[Sequence[Placed]], Plan],
    *,
    shared: bool,
    taken: Collection[str] = (),
) -> Spared:
    """Add the spare GPUs that the options of a plan demand, and what to do when servers fail.

    Spares are shared only if `shared` is set, the plan is verified, uses one profile and has no server with merged
    weights, and shared spares are found.
    Otherwise the servers stay as they are, and standbys are added, with other names than those in `taken`.
    """
    problem, found = servers[0].problem, None
    before = problem.capacity.twin_runs, problem.capacity.predictions
    one_profile = len({server.profile for server in plan.servers}) == 1
    is_merged = any(server.merged for server in plan.servers)
    if plan.verified and shared and one_profile and not is_merged:
        found = _shared(plan, servers, plan_of)
    spared = found or Spared(with_standbys(plan, taken), servers)
    counts = {
        "twin_runs": plan.twin_runs + problem.capacity.twin_runs - before[0],
        "predictions": plan.predictions + problem.capacity.predictions - before[1],
        "time_limit_hit": plan.time_limit_hit or (not found and problem.out_of_time),
    }
    return Spared(_with_latencies(spared.plan).model_copy(update=counts), spared.servers)


def _shared(plan: Plan, servers: list[Placed], plan_of: Callable[[Sequence[Placed]], Plan]) -> Spared | None:
    problem = servers[0].problem

    def planned(arrangement: Arrangement) -> Spared:
        chosen = placed(problem, arrangement.assignments)
        bare = plan_of(chosen)
        update = {
            "failover": tuple(_failovers(bare.servers, arrangement.takeovers)),
            "verified": True,
            "verified_seeds": verification_seeds(bare),
        }
        return Spared(bare.model_copy(update=update), chosen)

    def trial(arrangement: Arrangement) -> TrialResult:
        return _judged(planned(arrangement).plan)

    found = shared_spares(problem, len(servers) + plan.options.spare, plan.options.spare, trial)
    return planned(found) if found else None


def _failovers(servers: Sequence[PlacedServer], takeovers: dict[Failed, dict[int, Bin]]) -> Iterable[Failover]:
    """Yield, for each set of servers that may fail, the routes of the adapters that were on them."""
    for failed, taken in takeovers.items():
        routes: dict[str, dict[str, float]] = {name: {} for index in failed for name in servers[index].adapters}
        for index, server in enumerate(servers):
            if index not in failed:
                more = shares_of(taken.get(index, []))
                for name in routes.keys() & (server.adapters.keys() | more.keys()):
                    routes[name][server.name] = min(1.0, server.adapters.get(name, 0.0) + more.get(name, 0.0))
        yield Failover(failed=tuple(servers[index].name for index in failed), routes=routes)


def _judged(plan: Plan) -> TrialResult:
    """Verify a plan with fresh seeds: first after failures, where most plans fail, then while all servers run."""
    index = {server.name: number for number, server in enumerate(plan.servers)}
    checks = [verify(plan, verification_seed(plan, number)) for number in range(FAILOVER_VERIFICATIONS)]
    refused = {
        ServerAfterFailure(tuple(index[name] for name in state.failed), index[state.servers[bad].name])
        for check in checks
        for state in check.failovers
        for bad in state.failing
    }
    refused = refused or {ServerAfterFailure((), index[name]) for name in Verifications().failing(plan)}
    after = max((run.ttft.p99 for state in checks[0].failovers for run in state.runs), default=0.0)
    return TrialResult(refused, after / max(run.ttft.p99 for run in checks[0].runs))


def _with_latencies(plan: Plan) -> Plan:
    """Return the plan with the latencies after failures, from the first of its verifications."""
    check = verify(plan, verification_seed(plan, 0))
    described = (
        failover.model_copy(update=_failover_latencies(check, number)) for number, failover in enumerate(plan.failover)
    )
    return plan.model_copy(update={"failover": tuple(described)})


def _failover_latencies(check: Check, number: int) -> dict[str, float]:
    runs = check.failovers[number].runs
    return {"ttft_p99": max(run.ttft.p99 for run in runs), "itl_p99": max(run.itl.p99 for run in runs)} if runs else {}
