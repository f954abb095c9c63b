"""Fresh seeds: which servers of a plan fail with arrivals that the search did not use."""

import math
from collections.abc import Container

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


def verified_sample(plan: Plan, number: int, apart: Container[str] = ()) -> set[str]:
    """Return the names of the servers that one verification simulates.

    These are all servers or, where like ones stand for each other and the options allow it, those that stand for
    others and about as many of the others as the square root of their number, other ones in each verification. Of
    servers that are like one in `apart`, all are simulated.
    """
    names = {server.name for server in plan.servers}
    if plan.options.verify == "all":
        return names
    others: dict[str, list[str]] = {}
    for server in plan.servers:
        if server.like is not None and server.like not in apart:
            others.setdefault(server.like, []).append(server.name)
    for alike in others.values():
        count = math.isqrt(len(alike))
        chosen = {alike[(number * count + place) % len(alike)] for place in range(count)}
        names -= set(alike) - chosen
    return names


def failing_servers(plan: Plan, apart: Container[str] = ()) -> set[str]:
    """Return the names of the servers that fail any of the verifications while all servers run.

    Servers that are like one in `apart` do not stand for each other.
    """
    checks = (
        verify(plan, verification_seed(plan, number), failovers=False, only=verified_sample(plan, number, apart))
        for number in range(VERIFICATIONS)
    )
    return {check.servers[index].name for check in checks for index in check.failing}


def with_verified(plan: Plan, apart: Container[str] = (), *, held: bool) -> Plan:
    """Return the plan with the result of its verifications: their seeds, and the servers that were simulated."""
    seen = set[str]().union(*(verified_sample(plan, number, apart) for number in range(VERIFICATIONS)))
    serving = [server for server in plan.servers if not server.is_standby]
    simulated = sum(server.name in seen for server in serving)
    return plan.model_copy(
        update={
            "verified": held,
            "verified_seeds": verification_seeds(plan) if held else (),
            "verified_servers": simulated if held and simulated < len(serving) else None,
        }
    )
