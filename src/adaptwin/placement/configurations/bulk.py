"""The bulk of a large fleet: servers of a few kinds, those of a kind alike, with settings that the twin confirms."""

from collections.abc import Sequence
from typing import NamedTuple

import joblib

from adaptwin.errors import Infeasible
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.capacity.slots import best_slots, choose_slots
from adaptwin.placement.caution import CUT_SHARE, OTHER_ARRIVALS_FACTOR, PART_FACTOR
from adaptwin.placement.configurations.copies import deal_copies
from adaptwin.placement.configurations.kinds import Parts, load_of_parts, server_of_kind, up_to
from adaptwin.placement.packing.problem import Assignment, Problem, parts_of, shares_of_parts
from adaptwin.workload.drawing.seeds import stream_seed

LARGE_LOAD = 10.0  # best-case load, in servers, from which on a fleet is large
MOST_SLOTS = 1_000_000  # more than a server has adapters
TRIALS = 12  # of a kind: with other arrivals, on servers from the fullest to the emptiest
CUTS = 12  # times that adapters are taken off the fullest servers of a kind


class Bulk(NamedTuple):
    """Servers of which many are alike, and the parts of adapters that have no server yet."""

    servers: list[Assignment]
    left: Parts


def bulk_of(problem: Problem) -> Bulk | None:
    """Place the bulk of a large fleet; None if the fleet is not large, or its adapters differ by more than traffic.

    Every kind of server sustains `OTHER_ARRIVALS_FACTOR` times its traffic.
    """
    capacity = problem.capacity
    load = capacity.load(dict.fromkeys(capacity.names, 1.0))
    if load < LARGE_LOAD or problem.constraints or not capacity.surrogate_knows:
        return None
    factor = OTHER_ARRIVALS_FACTOR
    parts = [
        AdapterPart(name, 1.0 / number)
        for name in capacity.names
        for number in [parts_of(problem, name, PART_FACTOR)]
        for _ in range(number)
    ]
    dealt = deal_copies(problem, parts, factor)
    calls = (joblib.delayed(_of_kind)(capacity, copies, factor, kind) for kind, copies in enumerate(dealt.copies))
    servers, left = list[Assignment](), list(dealt.left)
    problem.progress("choosing max_loras", 0, len(dealt.copies))
    kinds = joblib.Parallel(n_jobs=-1, require="sharedmem", return_as="generator")(calls)
    for kind, (alike, over) in enumerate(kinds, start=1):
        servers += alike
        left += over
        problem.progress("choosing max_loras", kind, len(dealt.copies))
    return Bulk(servers, left)


def _of_kind(capacity: Capacity, copies: Sequence[Parts], factor: float, kind: int) -> tuple[list[Assignment], Parts]:
    """Return servers with these parts and the same settings, without those parts that do not fit, and these parts.

    Parts are taken off the fullest servers while the twin refuses the fullest one, or any in the trials. All servers
    are taken apart if that goes on.
    """
    contents, left = list(copies), Parts()
    for _ in range(CUTS):
        contents.sort(key=lambda parts: -capacity.guiding_likelihood(capacity.demand_of(parts), factor))
        slots = _confirmed_slots(capacity, shares_of_parts(contents[0]), factor)
        if slots is not None:
            servers = [server_of_kind(capacity, parts, slots, kind) for parts in contents]
            if _mostly_hold(capacity, servers, factor):
                return servers, left
        most = (1.0 - CUT_SHARE) * load_of_parts(capacity, contents[0])
        cut = [up_to(capacity, parts, most) for parts in contents]
        contents, left = [kept for kept, _ in cut], [*left, *(part for _, over in cut for part in over)]
    return [], [*left, *(part for parts in contents for part in parts)]


def _mostly_hold(capacity: Capacity, servers: Sequence[Assignment], factor: float) -> bool:
    """Whether servers of a kind, one after the other, hold in all of some trials with arrivals of their own."""
    return all(
        capacity.simulate(
            capacity.fresh_part(server.shares, factor, stream_seed(capacity.workload.seed, "trial", str(trial)) >> 1),
            server.server,
        ).ok
        for trial in range(TRIALS)
        for server in [servers[trial * len(servers) // TRIALS]]
    )


def _confirmed_slots(capacity: Capacity, shares: dict[str, float], factor: float) -> int | None:
    """Return the best number of slots of a server that the twin confirms; None if it refuses the server.

    A slot for each adapter is one for each on servers with more adapters as well.
    """
    safe = choose_slots(capacity, shares, factor)
    if safe is None:
        return None
    try:
        best = best_slots(capacity, shares).max_loras
    except Infeasible:
        return None
    found = best if capacity.ask(shares, best, factor).ok else safe.max_loras
    return found if found < capacity.all_slot_choices(shares)[-1] else MOST_SLOTS
