"""Fresh seeds: which servers of a plan fail with arrivals that the search did not use."""

from adaptwin.placement.verification.verify import verify
from adaptwin.plan.plan import Plan
from adaptwin.workload.drawing.random_streams import stream_seed

VERIFICATIONS = 5
FAILOVER_VERIFICATIONS = 5  # of what happens when servers fail, which leaves many of them close to their limit


def verification_seed(plan: Plan, number: int) -> int:
    """The seed of one of the verifications; the same whenever it is asked."""
    return stream_seed(plan.seed, "verification", str(number)) >> 1


def verification_seeds(plan: Plan) -> tuple[int, ...]:
    """The seeds with which a plan is verified."""
    return tuple(verification_seed(plan, number) for number in range(VERIFICATIONS))


def failing_servers(plan: Plan) -> set[str]:
    """Servers of a plan that fail any of the verifications, while all servers run."""
    checks = (verify(plan, seed, failovers=False) for seed in verification_seeds(plan))
    return {check.servers[index].name for check in checks for index in check.failing}
