"""Settling: the room that is left on a settled number of servers is spent on latency, by settings and by moves."""

from collections.abc import Sequence

from adaptwin.placement.alike import of_each_kind
from adaptwin.placement.capacity.latency_score import latency_score
from adaptwin.placement.capacity.quick_settings import quick_settings
from adaptwin.placement.caution import SLOT_STRESS_FACTOR
from adaptwin.placement.objectives.objective import Placed, placed
from adaptwin.placement.packing.lower_latency import with_lower_latency
from adaptwin.plan.options import LatencyKind
from adaptwin.twin.server import Server

MORE_SLOTS_TRIED = 3  # numbers of slots above that of a server, besides the largest
LEAST_LATENCY_GAIN = 0.05  # share by which moves must lower the latency of the worst server to be worth it


def with_quick_settings(servers: Sequence[Placed], given: Server, latency: LatencyKind) -> list[Placed]:
    """Return the servers with the settings that lower their latency; given settings stay."""

    def chosen(index: int) -> Server:
        problem, (server, shares, _) = servers[index]
        return quick_settings(problem.capacity, shares, server, given, latency)

    settings = of_each_kind([each.assignment for each in servers], chosen)
    return [each.with_settings_of(other) for each, other in zip(servers, settings, strict=True)]


def with_moves(
    servers: Sequence[Placed], quick: Sequence[Placed], given: Server, latency: LatencyKind
) -> list[Placed] | None:
    """Return as many servers with a lower latency on the worst of them; None if no moves achieve this.

    Args:
        servers: The servers as they were found, all of one profile, or nothing is moved.
        quick: The same servers with quick settings, which the moves must improve on.
        given: Settings that are not the planner's to choose.
        latency: The latency to lower.

    Nothing is moved in fleets with servers that are alike, either.
    """
    problems = {id(each.problem): each.problem for each in servers}
    if len(problems) > 1 or any(each.assignment.kind is not None for each in servers):
        return None
    (problem,) = problems.values()
    moved = with_lower_latency(problem, [each.assignment for each in servers], latency)
    if moved is None:
        return None
    after = with_quick_settings(placed(problem, moved), given, latency)
    is_lower = worst_latency(after, latency) < (1.0 - LEAST_LATENCY_GAIN) * worst_latency(quick, latency)
    return after if is_lower else None


def with_more_slots(server: Placed) -> Placed | None:
    """Return a server with more slots that sustains slightly more traffic; None if there is no such number of slots.

    With fewer slots than adapters, an adapter may wait for a slot for as long as the others are busy, which is rare on
    a server whose slots are well chosen, but not with all arrivals. The most slots come first, then those just above.
    """
    capacity, shares = server.problem.capacity, server.assignment.shares
    now = server.assignment.server
    more = [slots for slots in capacity.slot_choices(shares) if slots > now.max_loras > 0]
    for slots in dict.fromkeys([*more[-1:], *more[:MORE_SLOTS_TRIED]]):
        held = max(slots, now.max_cpu_loras or 0)
        other = now.with_slots(slots, max_lora_rank=now.max_lora_rank, max_cpu_loras=held)
        if all(capacity.ask_on(shares, other, factor).ok for factor in (SLOT_STRESS_FACTOR, 1.0)):
            return server.with_settings_of(other)
    return None


def worst_latency(servers: Sequence[Placed], latency: LatencyKind) -> float:
    """Return the highest latency score of a server."""

    def score(index: int) -> float:
        problem, (server, shares, _) = servers[index]
        return latency_score(problem.capacity.ask_on(shares, server), latency)

    return max(of_each_kind([each.assignment for each in servers], score))
