"""trial: which servers of a plan fail with seeds that the search did not use."""

from adaptwin.placement.plan import Plan
from adaptwin.placement.verify import verify
from adaptwin.workload.requests import stream_seed

VERIFICATIONS = 5


def failing_servers(plan: Plan) -> set[str]:
    """Servers of a plan where somebody suffers in any of the verifications; the same ones whenever it is asked."""
    seeds = [stream_seed(plan.seed, "verification", str(number)) >> 1 for number in range(VERIFICATIONS)]
    return {plan.servers[index].name for seed in seeds for index in verify(plan, seed).failing}
