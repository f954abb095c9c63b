"""loraserve: LoRAServe's placement, which gives each rank servers of its own, in proportion to its traffic.

The operating point of a rank is the tokens/s that one adapter of that rank can get from a server. An adapter's
utilisation is its tokens/s divided by its operating point. Every server's target is an equal part of the total
utilisation. The servers are divided among the ranks in proportion to their utilisation, by largest remainder, high
ranks first. The adapters of a rank, by falling utilisation, go to its least loaded servers, and are split where a
server reaches its target. What is left goes whole to the least loaded server of at least that rank. ``max_loras`` is
the number of adapters on the server.

The source is the re-implementation that arXiv 2602.24044 compares with, for a given number of servers; here, the
smallest number that serves all adapters is taken. Operating points come from the steady state rather than from a
benchmark. Servers are not renamed to match an earlier placement. Two cases are added that the original leaves open: a
server on which another slot would not start is full, and where no server has a rank as high as an adapter's, the least
loaded server is raised to that rank.
"""

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.packing.fewest_servers import fewest_servers
from adaptwin.placement.packing.peak_rate import peak_rate
from adaptwin.placement.packing.problem import Assignment, Problem, items_to_place
from adaptwin.placement.packing.slot_rule import SLOT_EACH, SlotRule, most_adapters_by_rank

HARDLY_ANY = 1e-9  # utilisation of an idle adapter
CRUMB = 1e-6  # a smaller share of an adapter is not worth a replica


class Wanted(NamedTuple):
    """An adapter: the rank of its slot, the utilisation of all its traffic, and the share that is yet to be placed."""

    name: str
    rank: int
    utilisation: float
    share: float = 1.0


@dataclass(slots=True)
class RankServer:
    """A server for adapters up to a rank."""

    rank: int
    load: float = 0.0
    shares: dict[str, float] = field(default_factory=dict)
    loras: int = 0

    def add(self, wanted: Wanted, share: float) -> None:
        """Assign this share of an adapter's traffic to the server."""
        self.loras += wanted.rank > 0 and wanted.name not in self.shares
        self.shares[wanted.name] = self.shares.get(wanted.name, 0.0) + share
        self.load += wanted.utilisation * share
        self.rank = max(self.rank, wanted.rank)

    def starts_with(self, wanted: Wanted, most: Mapping[int, int]) -> bool:
        """Whether the server starts with one more adapter; `most` gives the most adapters by rank."""
        return self.loras + (wanted.rank > 0) <= most[max(self.rank, wanted.rank)]


def loraserve(problem: Problem) -> list[Assignment]:
    """Place all adapters by the budgets of their ranks, as the module describes."""
    return placed_by_rank(problem, SLOT_EACH)


def placed_by_rank(problem: Problem, rule: SlotRule) -> list[Assignment]:
    """Place all adapters on the fewest servers that serve them with their slots set by the rule."""
    capacity, items = problem.capacity, items_to_place(problem)
    adapters = _wanted(capacity)
    most = most_adapters_by_rank(capacity, capacity.names, rule)
    total = sum(adapter.utilisation for adapter in adapters)
    return fewest_servers(
        problem, items, lambda servers: by_rank(adapters, most, servers), rule, at_least=math.ceil(total)
    )


def _wanted(capacity: Capacity) -> list[Wanted]:
    """Return the adapters by falling rank, then by falling utilisation."""
    workload = capacity.workload
    points = {rank: peak_rate(capacity, rank) for rank in set(map(capacity.slot_rank, capacity.names))}
    adapters = [
        Wanted(
            adapter.name,
            rank := capacity.slot_rank(adapter.name),
            max(HARDLY_ANY, capacity.factor * capacity.tokens(adapter.name) / points[rank]),
        )
        for adapter in workload.adapters
    ]
    return sorted(adapters, key=lambda adapter: (-adapter.rank, -adapter.utilisation, adapter.name))


def by_rank(adapters: list[Wanted], most: Mapping[int, int], servers: int) -> list[dict[str, float]]:
    """Return the shares on each server; `adapters` are by falling rank and utilisation, `most` of a server by rank."""
    target = sum(adapter.utilisation for adapter in adapters) / servers
    groups = {rank: list(group) for rank, group in groupby(adapters, key=lambda adapter: adapter.rank)}
    worth = {rank: sum(adapter.utilisation for adapter in group) / target for rank, group in groups.items()}
    budgets = largest_remainder(worth, servers)
    placed = {rank: [RankServer(rank) for _ in range(budgets[rank])] for rank in groups}
    left = [rest for rank, group in groups.items() for rest in _fill(placed[rank], group, target, most)]
    everywhere = [server for of_rank in placed.values() for server in of_rank]
    for wanted in left:
        startable = [server for server in everywhere if server.starts_with(wanted, most)] or everywhere
        of_rank = [server for server in startable if server.rank >= wanted.rank] or startable
        min(of_rank, key=lambda server: server.load).add(wanted, wanted.share)
    return [server.shares for server in everywhere]


def largest_remainder(worth: Mapping[int, float], servers: int) -> dict[int, int]:
    """Round `worth` to whole numbers with the sum `servers`: all down, then up where the remainders are largest."""
    budgets = {rank: math.floor(exact) for rank, exact in worth.items()}
    by_remainder = sorted(worth, key=lambda rank: budgets[rank] - worth[rank])
    for rank in by_remainder[: servers - sum(budgets.values())]:
        budgets[rank] += 1
    return budgets


def _fill(servers: list[RankServer], adapters: list[Wanted], target: float, most: Mapping[int, int]) -> list[Wanted]:
    """Fill the servers of a rank up to the target, the least loaded first; return what does not fit."""
    least = [(0.0, number, server) for number, server in enumerate(servers)]  # a heap
    left = []
    for adapter in adapters:
        share = 1.0
        while share > 0.0 and least:
            _, number, server = least[0]
            if not server.starts_with(adapter, most):
                heapq.heappop(least)
                continue
            room = (target - server.load) / adapter.utilisation
            if room < CRUMB:
                break
            part = share if share < room + CRUMB else room
            server.add(adapter, part)
            heapq.heapreplace(least, (server.load, number, server))
            share -= part
        if share > 0.0:
            left.append(adapter._replace(share=share))
    return left
