"""min-cost: the mix of GPUs with the lowest price per hour that serves all adapters."""

import math
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from adaptwin.errors import Infeasible
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

MOST_MIXES_ASKED = 6  # mixes on which the twin is run, at most
FEW_SERVERS = 12  # with no more servers of a GPU type than this, they are packed by the full search of `pack`


class ApprovedServer(NamedTuple):
    """A server whose contents the twin has confirmed."""

    problem: Problem
    contents: Bin

    @property
    def price(self) -> float:
        """Price per hour."""
        return price_of(self.problem.capacity.profile)


def min_cost(problems: Sequence[Problem], asked: Asked) -> list[Placed]:
    """Return the cheapest placement, by the strategy on each profile alone or, if it packs, also on mixes of profiles.

    Servers with merged weights are only on placements on one profile.

    Raises:
        SpecError: A profile has no price.
        Infeasible: No profile serves some adapter, or no mix that serves all adapters was found.
    """
    for problem in problems:
        price_of(problem.capacity.profile)
    if not asked.strategy.packs or len(problems) == 1:
        return best_alone(problems, asked, price_of_servers)
    found = _cheapest_mix(problems)
    mixed = [
        server
        for problem in problems
        if (bins := [approved_server.contents for approved_server in found if approved_server.problem is problem])
        for server in placed(problem, assigned(problem, bins))
    ]
    if asked.options.allow_merged:
        with suppress(Infeasible):
            alone = best_alone(problems, asked, price_of_servers)
            return min(mixed, alone, key=price_of_servers)
    return mixed


def price_of_servers(servers: Sequence[Placed]) -> float:
    """Return the price per hour of these servers."""
    return sum(price_of(server.problem.capacity.profile) for server in servers)


def _cheapest_mix(problems: Sequence[Problem]) -> list[ApprovedServer]:
    """Return the cheapest servers that the twin confirms, of the likely mixes and of each GPU type alone."""
    gpu_types = gpu_types_of(problems)
    likely = _distinct_mixes(gpu_types, mixes(gpu_types))
    found: list[list[ApprovedServer]] = []
    for mix in likely[:MOST_MIXES_ASKED]:
        if found and (problems[0].out_of_time or _least_price(found) <= price_of_mix(mix)):
            break
        if approved := _approved_mix(gpu_types, mix):
            found.append(approved)
    for gpu_type in gpu_types:
        if not found or (not problems[0].out_of_time and _within_reach(gpu_type, likely) < _least_price(found)):
            found += _alone(gpu_type)
    if not found and not likely:
        names = ", ".join(problem.capacity.profile.name for problem in problems)
        raise Infeasible(f"no mix of {names} was found that serves all adapters")
    if not found:
        found.append(_opened(gpu_types, likely[0]))
    return min(found, key=lambda servers: (_total_price(servers), len(servers)))


def _distinct_mixes(gpu_types: Sequence[GpuType], found: list[GpuMix]) -> list[GpuMix]:
    """Return the mixes, the cheapest first, with one for each combination of numbers of servers by GPU type."""
    by_numbers = {
        tuple(sum(mixed.gpu_type is gpu_type for mixed in mix) for gpu_type in gpu_types): mix
        for mix in reversed(found)
    }
    return sorted(by_numbers.values(), key=lambda mix: (price_of_mix(mix), len(mix)))


def _within_reach(gpu_type: GpuType, likely: list[GpuMix]) -> float:
    """Least price per hour of one GPU type alone: by its lower bound, and by likely mixes with a few servers fewer.

    It is infinite if the GPU type cannot serve some item.
    """
    if None in gpu_type.items:
        return math.inf
    servers = [len(mix) for mix in likely if all(mixed.gpu_type is gpu_type for mixed in mix)]
    return gpu_type.price * max(gpu_type.problem.lower_bound, math.ceil(WORTH_TRYING_FACTOR * min(servers, default=0)))


def _alone(gpu_type: GpuType) -> list[list[ApprovedServer]]:
    """Return what `pack` finds on one GPU type alone; empty if that cannot serve all adapters."""
    try:
        bins = packed(gpu_type.problem, partial(items_of, gpu_type.problem))
    except Infeasible:
        return []
    return [[ApprovedServer(gpu_type.problem, contents) for contents in bins]]


def _approved_mix(gpu_types: Sequence[GpuType], mix: GpuMix) -> list[ApprovedServer] | None:
    """Balance and repair each GPU type's part of a mix until the twin confirms it; None where that fails.

    The largest part comes first, because it is the most likely to be refused.
    """
    servers: list[ApprovedServer] = []
    parts = [(gpu_type, [mixed.contents for mixed in mix if mixed.gpu_type is gpu_type]) for gpu_type in gpu_types]
    for gpu_type, bins in sorted(parts, key=lambda part: -len(part[1])):
        approved = _approved_bins(gpu_type.problem, bins) if bins else []
        if approved is None:
            return None
        servers += [ApprovedServer(gpu_type.problem, contents) for contents in approved]
    return [_downsized(gpu_types, approved_server) for approved_server in servers]


def _approved_bins(problem: Problem, bins: list[Bin]) -> list[Bin] | None:
    """Place the items on no more servers or, where these are few, on as many as needed; None where that fails."""
    if len(bins) <= FEW_SERVERS:
        anew = _packed(problem, bins)
        return anew if len(anew) <= len(bins) else repaired_bins(problem, bins) or anew
    ways = orders([item for contents in bins for item in contents])
    evened = balanced(problem, [*ways, dealt(ways[0], len(bins))], len(bins), GPU_MIX_FACTOR)
    return (evened and repaired_bins(problem, evened.bins)) or repaired_bins(problem, bins)


def _packed(problem: Problem, bins: list[Bin]) -> list[Bin]:
    return packed(problem._replace(lower_bound=1), lambda _: [item for contents in bins for item in contents])


def _opened(gpu_types: Sequence[GpuType], mix: GpuMix) -> list[ApprovedServer]:
    """Place each GPU type's part of a mix on as many servers as it needs."""
    return [
        _downsized(gpu_types, ApprovedServer(gpu_type.problem, contents))
        for gpu_type in gpu_types
        if (bins := [mixed.contents for mixed in mix if mixed.gpu_type is gpu_type])
        for contents in _packed(gpu_type.problem, bins)
    ]


def _downsized(gpu_types: Sequence[GpuType], approved_server: ApprovedServer) -> ApprovedServer:
    """Move the contents of a server to the cheapest GPU type that serves them."""
    shares = shares_of(approved_server.contents)
    for gpu_type in sorted(gpu_types, key=lambda gpu_type: gpu_type.price):
        if gpu_type.price < approved_server.price and choose_slots(gpu_type.capacity, shares):
            return ApprovedServer(gpu_type.problem, as_items(gpu_type.problem, shares))
    return approved_server


def _least_price(found: Sequence[Sequence[ApprovedServer]]) -> float:
    return min(map(_total_price, found))


def _total_price(servers: Sequence[ApprovedServer]) -> float:
    return sum(approved_server.price for approved_server in servers)
