"""Fresh seeds: which servers of a plan fail with arrivals that the search did not use."""

import math

import joblib

from adaptwin.engine import in_order
from adaptwin.placement.verification.holds import holds
from adaptwin.placement.verification.verify import serving_cases
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.progress import Progress, silent
from adaptwin.twin.simulate import Case
from adaptwin.workload.drawing.seeds import stream_seed

VERIFICATIONS = 5
FAILOVER_VERIFICATIONS = 5  # of failovers, which leave many servers close to their limit


def verification_seed(plan: Plan, number: int) -> int:
    """Return the seed of one verification of a plan; it depends only on the plan's seed and the number."""
    return stream_seed(plan.seed, "verification", str(number)) >> 1


def verification_seeds(plan: Plan) -> tuple[int, ...]:
    """Return the seeds with which a plan is verified."""
    return tuple(verification_seed(plan, number) for number in range(VERIFICATIONS))


def verified_sample(plan: Plan, number: int) -> list[PlacedServer]:
    """Return the servers that one verification simulates: those that serve adapters.

    Where like ones stand for each other and the options allow it, these are the servers that stand for others and about
    as many of the others as the square root of their number, other ones in each verification.
    """
    serving = plan.serving
    if plan.options.verify == "all":
        return list(serving)
    others: dict[str, list[str]] = {}
    for server in serving:
        if server.like is not None:
            others.setdefault(server.like, []).append(server.name)
    left_out = set[str]()
    for alike in others.values():
        count = math.isqrt(len(alike))
        chosen = {alike[(number * count + place) % len(alike)] for place in range(count)}
        left_out |= set(alike) - chosen
    return [server for server in serving if server.name not in left_out]


class Verifications:
    """Verifications of plans that differ little: a server that has not changed is not simulated again."""

    def __init__(self, progress: Progress = silent) -> None:
        self._progress = progress
        self._known: dict[tuple[str, int], tuple[Case, bool]] = {}  # by server and verification

    def failing(self, plan: Plan) -> set[str]:
        """Return the names of the servers that fail any of the verifications while all servers run."""
        asked = {
            (server.name, number): case
            for number in range(VERIFICATIONS)
            for servers in [verified_sample(plan, number)]
            for server, case in zip(servers, serving_cases(plan, servers, verification_seed(plan, number)), strict=True)
        }
        new = [key for key, case in asked.items() if key not in self._known or self._known[key][0] != case]
        calls = (joblib.delayed(holds)(asked[key], plan.options.latency_limits) for key in new)
        self._progress("verifying", 0, len(new))
        for done, (key, held) in enumerate(zip(new, in_order(calls, -1), strict=True), start=1):
            self._known[key] = asked[key], held
            self._progress("verifying", done, len(new))
        return {key[0] for key in asked if not self._known[key][1]}


def with_verified(plan: Plan, *, held: bool) -> Plan:
    """Return the plan with the result of its verifications: their seeds, and the servers that were simulated."""
    seen = {server.name for number in range(VERIFICATIONS) for server in verified_sample(plan, number)}
    serving = len(plan.serving)
    return plan.model_copy(
        update={
            "verified": held,
            "verified_seeds": verification_seeds(plan) if held else (),
            "verified_servers": len(seen) if held and len(seen) < serving else None,
        }
    )
