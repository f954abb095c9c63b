"""The bulk of a large fleet: servers of a few kinds, those of a kind alike, with settings that the twin confirms."""

from collections.abc import Sequence
from typing import NamedTuple

from adaptwin.errors import Infeasible
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.capacity.slots import best_slots, choose_slots
from adaptwin.placement.caution import FILL_LIKELIHOOD, OTHER_ARRIVALS_FACTOR, RELIEF_ROUNDS, RELIEF_SHARE
from adaptwin.placement.configurations.copies import deal_copies
from adaptwin.placement.packing.problem import Assignment, Problem, parts_of, shares_of_parts

LARGE_LOAD = 10.0  # best-case load, in servers, from which on a fleet is large
Parts = list[AdapterPart]


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
        for number in [parts_of(problem, name, factor)]
        for _ in range(number)
    ]
    dealt = deal_copies(problem, parts, factor)
    servers, left = list[Assignment](), list(dealt.left)
    for kind, copies in enumerate(dealt.copies):
        problem.progress("choosing max_loras", kind, len(dealt.copies))
        alike, over = _alike(capacity, copies, factor, kind)
        servers += alike
        left += over
    return Bulk(servers, left)


def _alike(capacity: Capacity, copies: Sequence[Parts], factor: float, kind: int) -> tuple[list[Assignment], Parts]:
    """Return servers with these parts and the same settings, without those parts that do not fit, and these parts.

    All are taken apart if the twin refuses the fullest of them again and again.
    """
    contents, left = [], list[AdapterPart]()
    for parts in copies:
        kept, over = _fitting(capacity, parts, factor)
        contents.append(kept)
        left += over
    for _ in range(RELIEF_ROUNDS):
        contents.sort(key=lambda parts: -_guiding_likelihood(capacity, parts, factor))
        if slots := _confirmed_slots(capacity, shares_of_parts(contents[0]), factor):
            return [_server_like(capacity, shares_of_parts(parts), slots, kind) for parts in contents], left
        cut = [_without_share(parts, RELIEF_SHARE) for parts in contents]
        contents, left = [kept for kept, _ in cut], [*left, *(part for _, over in cut for part in over)]
    return [], [*left, *(part for parts in contents for part in parts)]


def _fitting(capacity: Capacity, parts: Parts, factor: float) -> tuple[Parts, Parts]:
    """Return the parts without so many that the others are likely served, and those left out."""
    kept, left = parts, list[AdapterPart]()
    while len(kept) > 1 and _guiding_likelihood(capacity, kept, factor) > FILL_LIKELIHOOD:
        kept, over = _without_share(kept, RELIEF_SHARE)
        left += over
    return kept, left


def _without_share(parts: Parts, share: float) -> tuple[Parts, Parts]:
    """Return the parts without this share of them, at least one, which is spread evenly over them; and that share."""
    count = max(1, round(share * len(parts)))
    places = {int((k + 0.5) * len(parts) / count) for k in range(count)}
    kept = [part for place, part in enumerate(parts) if place not in places]
    return kept, [parts[place] for place in sorted(places)]


def _guiding_likelihood(capacity: Capacity, parts: Parts, factor: float) -> float:
    return capacity.guiding_likelihood(capacity.demand_of(parts), factor)


def _confirmed_slots(capacity: Capacity, shares: dict[str, float], factor: float) -> int:
    """Return the best number of slots of a server that the twin confirms; 0 if it refuses the server."""
    safe = choose_slots(capacity, shares, factor)
    if safe is None:
        return 0
    try:
        best = best_slots(capacity, shares).max_loras
    except Infeasible:
        return 0
    return best if capacity.ask(shares, best, factor).ok else safe.max_loras


def _server_like(capacity: Capacity, shares: dict[str, float], slots: int, kind: int) -> Assignment:
    """Return a server with this number of slots, or one for each adapter where it has fewer."""
    return Assignment(capacity.server(shares, min(slots, capacity.all_slot_choices(shares)[-1])), shares, kind)
