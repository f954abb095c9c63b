"""Fresh seeds: which servers of a plan fail with arrivals that the search did not use."""

from adaptwin.placement.verification.verify import verify
from adaptwin.plan.plan import Plan
from adaptwin.workload.drawing.seeds import stream_seed

VERIFICATIONS = 5
FAILOVER_VERIFICATIONS = 5  # of failovers, which leave many servers close to their limit


def verification_seed(plan: Plan, number: int) -> int:
    """Return the seed of one verification of a plan; it depends only on the plan's seed and the number."""
    return stream_seed(plan.seed, "verification", str(number)) >> 1


def verification_seeds(plan: Plan) -> tuple[int, ...]:
    """Return the seeds with which a plan is verified."""
    return tuple(verification_seed(plan, number) for number in range(VERIFICATIONS))


def failing_servers(plan: Plan) -> set[str]:
    """Return the names of the servers that fail any of the verifications while all servers run."""
    checks = (verify(plan, seed, failovers=False) for seed in verification_seeds(plan))
    return {check.servers[index].name for check in checks for index in check.failing}
