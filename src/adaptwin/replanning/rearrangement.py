"""Rearrangement: a placement of a changed workload on a running fleet, and what the change costs.

A running server keeps its settings as long as they serve its adapters; other settings require a restart. Unplaced
adapters go where they fit, without a restart if possible. A server with merged weights serves its adapter only: more or
less of its traffic, but nothing else, unless it restarts without merged weights.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from adaptwin.errors import Infeasible
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.largest import largest_count
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.capacity.slots import best_or_most_served, choose_slots
from adaptwin.placement.caution import MOST_LOAD
from adaptwin.placement.packing.problem import Problem, halves, shares_of_parts
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.plan.routes import Route, adapters_of, routes_of
from adaptwin.plan.server_names import new_name
from adaptwin.replanning.merged_weights import with_old_weights
from adaptwin.twin.server import Server


class Prices(NamedTuple):
    """Costs of changing a running fleet, in GPUs."""

    move: float  # of loading a served adapter on a server that does not have it
    restart: float  # of restarting a server


@dataclass(slots=True, frozen=True)
class Running:
    """The running fleet, and the capacity of its servers under the new workload.

    Adapters go first to servers that then still have some headroom (`roomy`), or else to servers that just serve them.
    """

    plan: Plan
    problem: Problem
    roomy: Capacity
    prices: Prices
    settings: Mapping[str, Server]  # by server
    routes: Mapping[str, Route]  # by adapter
    apart_from: Mapping[str, frozenset[str]]  # by adapter
    groups: Mapping[str, frozenset[str]]  # by adapter
    old_weights: Collection[str]  # servers with merged weights that must restart, as their adapter has others now
    taken: Collection[str]  # names of servers of other plans

    @classmethod
    def of(cls, plan: Plan, problem: Problem, roomy: Capacity, prices: Prices, taken: Collection[str] = ()) -> Self:
        """Describe the running fleet of a plan; new servers get no name in `taken`."""
        settings = {server.name: server.server for server in plan.servers}
        group_of = problem.constraints.group_of()
        groups = {name: frozenset(o for o, head in group_of.items() if head == group_of[name]) for name in group_of}
        apart_from = problem.constraints.kept_apart()
        after = {name: problem.capacity.adapter(name) for name in problem.capacity.names}
        old_weights = with_old_weights(plan.servers, adapters_of(plan), after)
        return cls(plan, problem, roomy, prices, settings, routes_of(plan), apart_from, groups, old_weights, taken)

    @property
    def capacity(self) -> Capacity:
        """The capacity of the servers without additional headroom."""
        return self.problem.capacity

    @property
    def gpus_per_server(self) -> int:
        """GPUs of each server."""
        return self.capacity.profile.tensor_parallel_size


class ServerContents(NamedTuple):
    """The adapters of a server and its settings; None where the settings are still to be chosen."""

    settings: Server | None
    shares: dict[str, float]


class Rearrangement:
    """Servers by name, and the unplaced adapters. Owns both; `put`, `take` and `restart` change them."""

    def __init__(
        self, running: Running, contents: Mapping[str, ServerContents], unplaced: Iterable[AdapterPart] = ()
    ) -> None:
        self.running, self.capacity = running, running.capacity
        self.contents = {
            name: ServerContents(server.settings, dict(server.shares)) for name, server in contents.items()
        }
        self.unplaced = list(unplaced)
        self.closed = frozenset[str]()  # servers that take no more adapters
        self.careful = False  # whether servers must keep some headroom

    def copy(self) -> "Rearrangement":
        """Return a copy that can be changed on its own."""
        changed = Rearrangement(self.running, self.contents, self.unplaced)
        changed.closed, changed.careful = self.closed, self.careful
        return changed

    def without(self, name: str) -> "Rearrangement":
        """Return a copy without a server; its adapters are unplaced."""
        changed = self.copy()
        changed.unplaced += [AdapterPart(*item) for item in changed.contents.pop(name).shares.items()]
        return changed

    def cost(self) -> float:
        """Number of GPUs plus the cost of the moves and restarts, in GPUs."""
        prices = self.running.prices
        servers = sum(bool(server.shares) for server in self.contents.values())
        return servers * self.running.gpus_per_server + prices.move * self.moves() + prices.restart * self.restarts()

    def restarts(self) -> int:
        """Count the servers that restart with other settings."""
        return sum(map(self._restarts, self.contents))

    def moves(self) -> int:
        """Count the loads of adapters that are served now, on servers that do not serve them now."""
        return sum(self.moves_to(name, adapter) for name, server in self.contents.items() for adapter in server.shares)

    def moves_to(self, name: str, adapter: str) -> bool:
        """Whether an adapter that is served now must be loaded on a server that does not serve it now."""
        route = self.running.routes.get(adapter)
        return route is not None and name not in route and self.capacity.adapter(adapter).rank > 0

    def _restarts(self, name: str) -> bool:
        """Whether a running server must restart; one without adapters stops instead."""
        settings, shares = self.contents[name]
        changes = settings != self.running.settings.get(name) or name in self.running.old_weights
        return name in self.running.settings and bool(shares) and changes

    def is_served(self, name: str) -> bool:
        """Whether a server can serve all of its adapters."""
        return serves(self.capacity, self.contents[name].shares, self.contents[name].settings)

    def load_of(self, name: str) -> float:
        """The load on a server: the share of a GPU's time that its adapters take in the best case."""
        return self.capacity.load(self.contents[name].shares)

    def take(self, name: str, items: Iterable[AdapterPart]) -> None:
        """Take items off a server; they become unplaced."""
        shares = self.contents[name].shares
        for item in items:
            left = shares.pop(item.name) - item.share
            if left > 0:
                shares[item.name] = left
            self.unplaced.append(item)

    def put(self, name: str, items: Iterable[AdapterPart]) -> None:
        """Place unplaced items on a server."""
        shares = self.contents[name].shares
        for item in items:
            self.unplaced.remove(item)
            shares[item.name] = min(1.0, shares.get(item.name, 0.0) + item.share)

    def moved(self, giver: str, taker: str, items: Sequence[AdapterPart]) -> bool:
        """Move items from one server to another, if constraints, rank and host memory allow it; return whether."""
        ranks = [self.capacity.adapter(item.name).rank for item in items]
        there = self.contents[taker].shares
        new = sum(rank > 0 and item.name not in there for item, rank in zip(items, ranks, strict=True))
        if new > self._free_in_host(taker) or not all(self._can_load(taker, rank) for rank in ranks):
            return False
        self.take(giver, items)
        if self._joining(taker, items) == list(items):
            self.put(taker, items)
            return True
        self.put(giver, items)
        return False

    def restart(self, name: str) -> None:
        """Have a server restart: its settings are chosen anew, in `servers`."""
        self.contents[name] = ServerContents(None, self.contents[name].shares)

    def settle(self) -> None:
        """Place unplaced items on servers that can serve them with their current settings.

        A server takes more adapters than its host memory holds (``max_cpu_loras``) only where no other can take them.
        """
        for capacity in (self.running.roomy,) if self.careful else (self.running.roomy, self.capacity):
            for most in (self._free_in_host, lambda _: math.inf):
                for rank in self._ranks():
                    takers = [name for name in self._open_to_more() if self._can_load(name, rank)]
                    for name in sorted(takers, key=lambda name: (self._padding(name, rank), -self.load_of(name), name)):
                        self._fill(name, rank, capacity, self.contents[name].settings, most(name) if rank else math.inf)

    def settle_with_restarts(self) -> None:
        """Place unplaced items on servers that can serve them after a restart, on as few servers as possible."""
        capacity = self.running.roomy if self.careful else self.capacity
        for rank in self._ranks():
            for name in sorted(self._open_to_more(), key=lambda name: (self.load_of(name), name)):
                if self._fill(name, rank, capacity, None):
                    self.restart(name)

    def housed(self) -> "Rearrangement":
        """Return the fleet with every adapter placed, without restarts or new servers if possible.

        Otherwise, restarts together with new servers are compared with new servers alone, and the cheaper way is taken.
        """
        self.settle()
        if not self.unplaced:
            return self
        ways = [self.copy(), self.copy()]
        for way, restarts in zip(ways, (True, False), strict=True):
            way.settle_with_restarts() if restarts else None
            while way.unplaced:
                way.open()
                way.settle()
        return min(ways, key=Rearrangement.cost)

    def open(self) -> None:
        """Add a server for as many unplaced items as it can serve, or halve an item that is too much for one server.

        Raises:
            Infeasible: The constraints rule out a new server for the item, or halving it does not help.
        """
        first = next(item for rank in self._ranks() for item in self._unplaced_of(rank))
        self._gather(first.name)
        name = self.running.problem.constraints.pinned.get(first.name) or new_name(
            [*self.running.settings, *self.contents, *self.running.taken]
        )
        if name in self.contents:
            raise Infeasible(f"{first.name!r} is pinned to {name}, which cannot serve it beside its other adapters")
        self.contents[name] = ServerContents(None, {})
        rest = [item for rank in self._ranks() for item in self._unplaced_of(rank) if item != first]
        items = self._joining(name, [*sorted(rest, key=lambda item: item.name not in self.group(first.name))], [first])
        count = largest_count(len(items), lambda count: serves(self.capacity, shares_of_parts(items[:count]), None))
        if count < len(self.group(first.name)):
            del self.contents[name]
            if count > 0 or len(self.group(first.name)) > 1:
                raise Infeasible(
                    f"{', '.join(sorted(self.group(first.name)))} must be together, but no server can serve them"
                )
            self.unplaced.remove(first)
            self.unplaced += halves(self.running.problem, first)
            return
        self.put(name, items[:count])

    def is_pinned(self, adapter: str) -> bool:
        """Whether the adapter, or one that must share its server, is pinned to a server."""
        return not self.running.problem.constraints.pinned.keys().isdisjoint(self.group(adapter))

    def group(self, adapter: str) -> frozenset[str]:
        """Return the adapters that must share a server with this one, itself included."""
        return self.running.groups.get(adapter, frozenset((adapter,)))

    def _gather(self, adapter: str) -> None:
        """Take the adapters of a group off their servers, so that the whole group can be placed together.

        The parts of an adapter that is in no group stay.
        """
        if len(self.group(adapter)) == 1:
            return
        for name, server in self.contents.items():
            self.take(
                name, [AdapterPart(o, server.shares[o]) for o in sorted(self.group(adapter)) if o in server.shares]
            )

    def _joining(self, name: str, items: Iterable[AdapterPart], first: Iterable[AdapterPart] = ()) -> list[AdapterPart]:
        """Return `first`, and the items that may join it and the adapters on a server under the constraints."""
        chosen = list(first)
        on = {*self.contents[name].shares, *(item.name for item in chosen)}
        pinned = self.running.problem.constraints.pinned
        settings, shares = self.contents[name]
        for item in items:
            if settings is not None and settings.merged and shares and item.name not in shares:
                continue
            elsewhere = any(
                self.group(item.name) & set(server.shares) - {item.name}
                for other, server in self.contents.items()
                if other != name
            )
            clashes = not on.isdisjoint(self.running.apart_from.get(item.name, frozenset()))
            if pinned.get(item.name, name) == name and not clashes and not elsewhere:
                chosen.append(item)
                on.add(item.name)
        return chosen

    def servers(self) -> tuple[PlacedServer, ...]:
        """Return the servers, running ones first, in their order; chooses the settings that are still open."""
        profile = self.capacity.profile.name
        return tuple(
            PlacedServer(
                name=name, profile=profile, server=server.settings or self._chosen(server), adapters=server.shares
            )
            for name, server in self.contents.items()
            if server.shares
        )

    def _chosen(self, server: ServerContents) -> Server:
        """Choose the best number of slots, or, where none serves all adapters, the one that serves the most tokens."""
        slots = best_or_most_served(self.capacity, server.shares)
        return self.capacity.server(server.shares, slots)

    def _ranks(self) -> list[int]:
        return sorted({self.capacity.slot_rank(item.name) for item in self.unplaced}, reverse=True)

    def _unplaced_of(self, rank: int) -> list[AdapterPart]:
        """Return the unplaced items of a rank, those with the highest load first."""
        items = (item for item in self.unplaced if self.capacity.slot_rank(item.name) == rank)
        return sorted(items, key=lambda item: (-self.capacity.load_of(item), item.name))

    def _open_to_more(self) -> list[str]:
        return [name for name in self.contents if name not in self.closed]

    def _can_load(self, name: str, rank: int) -> bool:
        """Whether a server can take an adapter of this rank; one with merged weights, only more of its own."""
        settings = self.contents[name].settings
        return settings is None or settings.merged or settings.can_load(rank)

    def _padding(self, name: str, rank: int) -> int:
        """Return by how much the rank of a server's slots and the rank of an adapter differ: the less, the better."""
        settings, shares = self.contents[name]
        if settings is not None:
            return settings.max_lora_rank - rank if rank and not settings.merged else 0
        return abs(max(map(self.capacity.slot_rank, shares), default=rank) - rank)

    def _free_in_host(self, name: str) -> float:
        """Return how many more adapters the host memory of a server holds; any number where it will be chosen.

        More traffic of an adapter with merged weights needs none.
        """
        settings, shares = self.contents[name]
        if settings is None or settings.merged:
            return math.inf
        loras = sum(self.capacity.adapter(other).rank > 0 for other in shares)
        return max(0, settings.adapters_in_host - loras)

    def _fill(self, name: str, rank: int, capacity: Capacity, settings: Server | None, most: float = math.inf) -> int:
        """Place the largest items of a rank that a server can serve, then the smallest of the rest; return how many.

        At most `most` items are placed.
        """
        taken = 0
        for falling in (True, False):
            items = self._joining(name, self._unplaced_of(rank)[:: 1 if falling else -1])
            items = items[: int(min(len(items), most - taken))]
            own = [AdapterPart(*item) for item in self.contents[name].shares.items()]

            def takes(count: int, own: list[AdapterPart] = own, items: list[AdapterPart] = items) -> bool:
                return serves(capacity, shares_of_parts([*own, *items[:count]]), settings)

            count = largest_count(len(items), takes)
            self.put(name, items[:count])
            taken += count
        return taken


def serves(capacity: Capacity, shares: Mapping[str, float], settings: Server | None) -> bool:
    """Whether a server can serve these adapters with these settings, or, for None, with any number of slots.

    Adding adapters to a running server leaves its ``max_cpu_loras`` as it is. A server with merged weights serves one
    adapter.
    """
    if not shares:
        return True
    if settings is None:
        return choose_slots(capacity, shares) is not None
    ranks = [capacity.adapter(name).rank for name in shares]
    if settings.merged:
        return len(ranks) == 1 and ranks[0] > 0 and capacity.ask_on(shares, settings).ok
    if capacity.load(shares) > MOST_LOAD or not all(map(settings.can_load, ranks)):
        return False
    return capacity.estimate_on(shares, settings).ok
