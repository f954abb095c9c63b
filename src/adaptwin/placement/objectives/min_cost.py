"""min-cost: the mix of GPUs with the lowest price per hour that serves all adapters."""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from adaptwin.errors import Infeasible, SpecError
from adaptwin.placement.capacity.slots import choose_slots
from adaptwin.placement.caution import GPU_MIX_FACTOR, WORTH_TRYING_FACTOR
from adaptwin.placement.lower_bound.lower_bound import price_of
from adaptwin.placement.objectives.gpu_mix.gpu_types import GpuType, gpu_types_of
from adaptwin.placement.objectives.gpu_mix.mixes import GpuMix, mixes
from adaptwin.placement.objectives.gpu_mix.mixes import price as price_of_mix
from adaptwin.placement.objectives.min_gpus import best_alone
from adaptwin.placement.objectives.objective import Asked, Placed, placed
from adaptwin.placement.packing.balance import balanced
from adaptwin.placement.packing.items import Bin, as_items, items_of, shares_of
from adaptwin.placement.packing.orders import dealt, orders
from adaptwin.placement.packing.problem import Problem
from adaptwin.placement.packing.ruin_and_recreate import repaired_bins
from adaptwin.placement.strategies.pack import assigned, packed

MOST_MIXES_ASKED = 6  # mixes that the twin is asked about
FEW_SERVERS = 12  # servers of a kind up to which they are packed with all that `pack` can do


class ApprovedServer(NamedTuple):
    """A server that the twin approves of."""

    problem: Problem
    contents: Bin

    @property
    def price(self) -> float:
        """Per hour."""
        return price_of(self.problem.capacity.profile)


def min_cost(problems: Sequence[Problem], asked: Asked) -> list[Placed]:
    """The cheapest of what the strategy makes of each profile alone and, if it packs, of mixes of them.

    Raises:
        SpecError: A profile has no price, or adapters of one do not fit another.
        Infeasible: No profile serves some adapter, or no mix was found that serves all adapters.
    """
    for problem in problems:
        price_of(problem.capacity.profile)
    _require_one_model(problems)
    if not asked.strategy.packs or len(problems) == 1:
        return best_alone(problems, asked.strategy, price_of_servers)
    found = _cheapest_mix(problems)
    return [
        server
        for problem in problems
        if (bins := [approved_server.contents for approved_server in found if approved_server.problem is problem])
        for server in placed(problem, assigned(problem, bins))
    ]


def price_of_servers(servers: Sequence[Placed]) -> float:
    """Price per hour."""
    return sum(price_of(server.problem.capacity.profile) for server in servers)


def _require_one_model(problems: Sequence[Problem]) -> None:
    first, *others = [problem.capacity.profile for problem in problems]
    for profile in others:
        for name in ("hidden", "layers", "heads", "kv_heads", "head_dim", "intermediate"):
            if getattr(profile.model, name) != getattr(first.model, name):
                raise SpecError(f"adapters of {first.name} do not fit the model of {profile.name}", "profile")


def _cheapest_mix(problems: Sequence[Problem]) -> list[ApprovedServer]:
    """Servers that the twin approves of: the first of the likely mixes, from the cheapest on, or one kind alone."""
    kinds = gpu_types_of(problems)
    likely = _distinct_mixes(kinds, mixes(kinds))
    found: list[list[ApprovedServer]] = []
    for mix in likely[:MOST_MIXES_ASKED]:
        if found and (problems[0].out_of_time or _least_price(found) <= price_of_mix(mix)):
            break
        if approved := _approved_mix(kinds, mix):
            found.append(approved)
    for kind in kinds:
        if not found or (not problems[0].out_of_time and _within_reach(kind, likely) < _least_price(found)):
            found += _alone(kind)
    if not found and not likely:
        names = ", ".join(problem.capacity.profile.name for problem in problems)
        raise Infeasible(f"no mix of {names} was found that serves everybody")
    if not found:
        found.append(_opened(kinds, likely[0]))
    return min(found, key=lambda servers: (_total_price(servers), len(servers)))


def _distinct_mixes(kinds: Sequence[GpuType], found: list[GpuMix]) -> list[GpuMix]:
    """The cheapest first; one for each number of servers of each kind."""
    by_numbers = {tuple(sum(mixed.kind is kind for mixed in mix) for kind in kinds): mix for mix in reversed(found)}
    return sorted(by_numbers.values(), key=lambda mix: (price_of_mix(mix), len(mix)))


def _within_reach(kind: GpuType, likely: list[GpuMix]) -> float:
    """What one kind alone costs at the least, by the bound, and by the numbers with a few servers given up."""
    if None in kind.items:
        return math.inf
    servers = [len(mix) for mix in likely if all(mixed.kind is kind for mixed in mix)]
    return kind.price * max(kind.problem.lower_bound, math.ceil(WORTH_TRYING_FACTOR * min(servers, default=0)))


def _alone(kind: GpuType) -> list[list[ApprovedServer]]:
    """What `pack` makes of one GPU type alone, if that serves all adapters."""
    try:
        bins = packed(kind.problem, partial(items_of, kind.problem))
    except Infeasible:
        return []
    return [[ApprovedServer(kind.problem, contents) for contents in bins]]


def _approved_mix(kinds: Sequence[GpuType], mix: GpuMix) -> list[ApprovedServer] | None:
    """A mix with each kind's part balanced and repaired, as the twin allows; None where it does not.

    The largest part comes first, because it is the one that may be refused.
    """
    servers: list[ApprovedServer] = []
    parts = [(kind, [mixed.contents for mixed in mix if mixed.kind is kind]) for kind in kinds]
    for kind, bins in sorted(parts, key=lambda part: -len(part[1])):
        approved = _approved_hands(kind.problem, bins) if bins else []
        if approved is None:
            return None
        servers += [ApprovedServer(kind.problem, contents) for contents in approved]
    return [_downsized(kinds, approved_server) for approved_server in servers]


def _approved_hands(problem: Problem, bins: list[Bin]) -> list[Bin] | None:
    """The same on no more servers, or where they are few, on as many as are needed."""
    if len(bins) <= FEW_SERVERS:
        anew = _packed(problem, bins)
        return anew if len(anew) <= len(bins) else repaired_bins(problem, bins) or anew
    ways = orders([item for contents in bins for item in contents])
    evened = balanced(problem, [*ways, dealt(ways[0], len(bins))], len(bins), GPU_MIX_FACTOR)
    return (evened and repaired_bins(problem, evened.bins)) or repaired_bins(problem, bins)


def _packed(problem: Problem, bins: list[Bin]) -> list[Bin]:
    return packed(problem._replace(lower_bound=1), lambda _: [item for contents in bins for item in contents])


def _opened(kinds: Sequence[GpuType], mix: GpuMix) -> list[ApprovedServer]:
    """A mix with each kind's part on as many servers as it needs."""
    return [
        _downsized(kinds, ApprovedServer(kind.problem, contents))
        for kind in kinds
        if (bins := [mixed.contents for mixed in mix if mixed.kind is kind])
        for contents in _packed(kind.problem, bins)
    ]


def _downsized(kinds: Sequence[GpuType], approved_server: ApprovedServer) -> ApprovedServer:
    """The same on the cheapest kind on which the twin allows it."""
    shares = shares_of(approved_server.contents)
    for kind in sorted(kinds, key=lambda kind: kind.price):
        if kind.price < approved_server.price and choose_slots(kind.capacity, shares):
            return ApprovedServer(kind.problem, as_items(kind.problem, shares))
    return approved_server


def _least_price(found: Sequence[Sequence[ApprovedServer]]) -> float:
    return min(map(_total_price, found))


def _total_price(servers: Sequence[ApprovedServer]) -> float:
    return sum(approved_server.price for approved_server in servers)
