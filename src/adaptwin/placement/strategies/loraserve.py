"""loraserve: LoRAServe's placement, which gives each rank servers of its own, as many as its traffic is worth.

The operating point of a rank is the tokens/s that one adapter of it can get from a server; an adapter's utilisation is
its tokens/s over that. Every server's target is an equal part of the whole utilisation. The servers are divided among
the ranks in proportion to their utilisation, by largest remainder, high ranks first. The adapters of a rank, by falling
utilisation, go to its least loaded servers, in parts where a server comes to its target; what finds no room goes whole
to the least loaded server of at least that rank. ``max_loras`` is the number of adapters on the server.

After the re-implementation that arXiv 2602.24044 compares with, which has a given number of servers: this one takes the
smallest with which each is served. Operating points come from the steady state rather than from a benchmark. Left out
is the renaming of servers against a placement before. Two cases the original leaves open: a server on which another
slot would not start is full, and where no server is of so high a rank, the least loaded becomes it.
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
from adaptwin.placement.packing.slot_rule import SLOT_EACH, most_slots_by_rank

HARDLY_ANY = 1e-9  # utilisation of an idle adapter
CRUMB = 1e-6  # a smaller share of an adapter is not worth a replica


class Wanted(NamedTuple):
    """An adapter, or what is left of it, and the share of a server that all of it is worth."""

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
        """Take this share of an adapter's traffic."""
        self.loras += wanted.rank > 0 and wanted.name not in self.shares
        self.shares[wanted.name] = self.shares.get(wanted.name, 0.0) + share
        self.load += wanted.utilisation * share
        self.rank = max(self.rank, wanted.rank)

    def starts_with(self, wanted: Wanted, most: Mapping[int, int]) -> bool:
        """Whether there can be a slot for the adapter, out of the most there can be, by rank."""
        return self.loras + (wanted.rank > 0) <= most[max(self.rank, wanted.rank)]


def loraserve(problem: Problem) -> list[Assignment]:
    """Place all adapters by the budgets of their ranks; see the module."""
    capacity, items = problem.capacity, items_to_place(problem)
    adapters = _wanted(capacity)
    most = most_slots_by_rank(capacity, capacity.names)
    total = sum(adapter.utilisation for adapter in adapters)
    return fewest_servers(
        problem, items, lambda servers: by_rank(adapters, most, servers), SLOT_EACH, at_least=math.ceil(total)
    )


def _wanted(capacity: Capacity) -> list[Wanted]:
    """The adapters by falling rank, then by falling utilisation."""
    workload = capacity.workload
    points = {rank: peak_rate(capacity, rank) for rank in {adapter.rank for adapter in workload.adapters}}
    adapters = [
        Wanted(
            adapter.name,
            adapter.rank,
            max(HARDLY_ANY, capacity.factor * workload.tokens_per_second(adapter) / points[adapter.rank]),
        )
        for adapter in workload.adapters
    ]
    return sorted(adapters, key=lambda adapter: (-adapter.rank, -adapter.utilisation, adapter.name))


def by_rank(adapters: list[Wanted], most: Mapping[int, int], servers: int) -> list[dict[str, float]]:
    """Shares on each of the servers; `adapters` by falling rank and utilisation, `most` slots by rank."""
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
    """Whole servers that sum up to `servers`, as `worth` does: rounded down, and the rest to the largest remainders."""
    budgets = {rank: math.floor(exact) for rank, exact in worth.items()}
    by_remainder = sorted(worth, key=lambda rank: budgets[rank] - worth[rank])
    for rank in by_remainder[: servers - sum(budgets.values())]:
        budgets[rank] += 1
    return budgets


def _fill(servers: list[RankServer], adapters: list[Wanted], target: float, most: Mapping[int, int]) -> list[Wanted]:
    """Fill the servers of a rank, least loaded first, up to the target; gives what finds no room."""
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
