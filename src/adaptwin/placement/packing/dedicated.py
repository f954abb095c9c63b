"""Dedicated servers: for an adapter with much traffic, its weights merged into those of the model; or for base traffic.

A server with merged weights needs no slots and none of the LoRA kernels, so that it serves more requests of its adapter
than any other server could. The same holds for a server that serves only the base model. Both serve nothing else, so
that they pay only where one adapter nearly fills them. How many to take is estimated from how full servers are without
them; then the rest of the fleet is placed anew, and the placement counts only if it needs fewer servers.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from adaptwin.errors import Infeasible
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.largest import largest_factor
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.caution import DEDICATED_LOAD, OTHER_ARRIVALS_FACTOR
from adaptwin.placement.packing.problem import Assignment, Place, Problem
from adaptwin.twin.server import Server

MOST_DEDICATED = 8  # adapters that may get servers of their own, those with the most traffic
USUAL_LOAD = 0.7  # best-case load of a server where no placement without dedicated servers is known
LEAST_SERVERS_SAVED = 0.1  # servers that dedicated ones must save by the estimate
BORNE_SHARE_PRECISION = 1.02  # of the share of an adapter's traffic that a server bears, as a ratio
NO_TRAFFIC = 1e-9  # share of an adapter's traffic that is none but for rounding


class Dedicated(NamedTuple):
    """Servers that serve one adapter only, each with the same share of its traffic."""

    name: str
    server: Server
    servers: int
    share: float  # of each of them
    saving: float  # servers saved, by an estimate


def with_dedicated(problem: Problem, place: Place, *, allow_merged: bool) -> list[Assignment]:
    """Return a strategy's placement, or one with dedicated servers if that has fewer servers.

    Raises:
        Infeasible: Some adapter can be served neither way; the error is that of the placement without them.
    """
    try:
        plain = place(problem)
    except Infeasible:
        if found := _with_fewer_servers(problem, place, [], allow_merged=allow_merged):
            return found
        raise
    if len(plain) <= problem.lower_bound:
        return plain
    return _with_fewer_servers(problem, place, plain, allow_merged=allow_merged) or plain


def _with_fewer_servers(
    problem: Problem, place: Place, plain: Sequence[Assignment], *, allow_merged: bool
) -> list[Assignment] | None:
    """Return a placement with dedicated servers that has fewer servers than the plain one; None if none is found."""
    candidates = _hot_adapters(problem, allow_merged)
    ways = sorted(_worthwhile(problem.capacity, candidates, plain), key=lambda way: (-way.saving, way.name))
    for chosen in dict.fromkeys((tuple(ways), tuple(ways[:1]))):
        if not chosen or problem.out_of_time:
            break
        with suppress(Infeasible):
            found = _placed_beside(problem, place, chosen)
            if not plain or len(found) < len(plain):
                return found
    return None


def _hot_adapters(problem: Problem, allow_merged: bool) -> list[str]:
    """Return adapters with much traffic that no constraint names: of base traffic and, if merging is allowed, all."""
    capacity, constraints = problem.capacity, problem.constraints
    named = {*constraints.pinned, *constraints.group_of(), *constraints.kept_apart()}
    merges = allow_merged and capacity.profile.allows_merged
    loads = {
        name: capacity.load_of(AdapterPart(name, 1.0))
        for name in capacity.names
        if name not in named and (merges or not capacity.adapter(name).rank)
    }
    hot = [name for name, load in loads.items() if load >= DEDICATED_LOAD]
    return sorted(hot, key=lambda name: (-loads[name], name))[:MOST_DEDICATED]


def _worthwhile(capacity: Capacity, names: Sequence[str], plain: Sequence[Assignment]) -> Iterable[Dedicated]:
    """Yield the dedicated servers that likely save some others."""
    usual = sum(capacity.load(assignment.shares) for assignment in plain) / len(plain) if plain else USUAL_LOAD
    for name in names:
        best = max(_numbers_of_servers(capacity, name, usual), key=lambda way: way.saving, default=None)
        if best and best.saving >= LEAST_SERVERS_SAVED:
            yield best


def _numbers_of_servers(capacity: Capacity, name: str, usual: float) -> Iterable[Dedicated]:
    """Yield dedicated servers for all of an adapter's traffic, and for as much as whole servers bear."""
    server, load = dedicated_server(capacity, name), capacity.load_of(AdapterPart(name, 1.0))
    most = _most_share(capacity, name, server, load)
    if not most:
        return
    for servers in {int(1.0 / most), -int(-1.0 // most)} - {0}:
        share = min(most, 1.0 / servers)
        yield Dedicated(name, server, servers, share, servers * share * load / max(usual, NO_TRAFFIC) - servers)


def dedicated_server(capacity: Capacity, name: str) -> Server:
    """Return the settings of a server for one adapter only: with merged weights, or without any for base traffic."""
    server = capacity.server({name: 1.0}, 0)
    plain = server.with_slots(0, max_lora_rank=server.max_lora_rank)
    return plain.with_merged_weights() if capacity.adapter(name).rank else plain


def _most_share(capacity: Capacity, name: str, server: Server, load: float) -> float:
    """Return the largest share of an adapter's traffic that a server of its own bears; 0 if it bears next to none."""
    if not server.starts_on(capacity.profile):
        return 0.0
    bears = partial(_bears, capacity, name, server)
    if load < 3.0 and bears(1.0):
        return 1.0
    low = 0.1 / max(1.0, load)
    found = largest_factor(low, min(1.0, 3.0 / load), BORNE_SHARE_PRECISION, bears).low
    return found if found > low else 0.0


def _bears(capacity: Capacity, name: str, server: Server, share: float) -> bool:
    """Whether a server bears a share of an adapter's traffic, with other arrivals as well."""
    return all(capacity.ask_on({name: share}, server, factor).ok for factor in (OTHER_ARRIVALS_FACTOR, 1.0))


def _placed_beside(problem: Problem, place: Place, chosen: Sequence[Dedicated]) -> list[Assignment]:
    """Return these dedicated servers and a strategy's placement of the rest of the fleet."""
    capacity = problem.capacity
    taken = {way.name: way.servers * way.share for way in chosen}
    left = {name: 1.0 - taken.get(name, 0.0) for name in capacity.names}
    left = {name: share for name, share in left.items() if share > NO_TRAFFIC}
    own = [Assignment(way.server, {way.name: way.share}) for way in chosen for _ in range(way.servers)]
    if not left:
        return own
    rest = problem._replace(capacity=capacity.of_part(left), lower_bound=max(1, problem.lower_bound - len(own)))
    placed = (
        each._replace(shares={name: share * left[name] for name, share in each.shares.items()}) for each in place(rest)
    )
    return [*placed, *own]
