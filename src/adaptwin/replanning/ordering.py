"""Ordering: the steps that turn a running fleet into another one, with all adapters served throughout.

Each adapter is first loaded on its new server, then routed there, then unloaded from its old one. A server that gets
other settings must restart, and serves no adapters meanwhile. Its traffic is parked on running servers that have the
rank for it and bear it by the twin, or else on a stand-in: an extra server, which needs more GPUs temporarily.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from adaptwin.plan.migration import Migration
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.plan.routes import Route, adapters_of, routes_of
from adaptwin.profile.profile import Profile
from adaptwin.replanning.bearing import Bears, bears_by_twin
from adaptwin.replanning.merged_weights import merged_adapter, with_old_weights
from adaptwin.replanning.moving_fleet import MovingFleet
from adaptwin.twin.server import Server, server_rank
from adaptwin.workload.demand.mean_lengths import tokens_per_adapter

PARKING_ROUNDS = 4  # attempts to divide the traffic of a restarting server among the others


def migration(old: Plan, new: Plan, bears: Bears | None = None) -> Migration:
    """Return the steps from the running plan to a new one. Servers with the same name are the same server.

    At every moment, each adapter that is in both plans is routed to running servers that have it loaded. A new adapter
    is routed once it is loaded; a departed one is unloaded once it is no longer routed. An adapter is loaded only where
    ``max_lora_rank`` allows it, and never on a server with merged weights, which starts with its only adapter. While an
    adapter is on its old and its new server, a server may hold more adapters than ``max_cpu_loras``: vLLM still serves
    them all, but reads the least recently used ones from disk again.

    Args:
        old: The plan that runs.
        new: The plan that is to run.
        bears: Whether a server bears some traffic; by default the twin says so, for the traffic of the new plan.
    """
    way = _Way(old, new, bears or bears_by_twin(old, new))
    way.refuse_departed()
    way.start_new()
    way.settle()
    for name in way.waiting():
        way.restart(name)
        way.settle()
    way.stop_old()
    before, after = adapters_of(old).keys(), adapters_of(new).keys()
    return Migration(
        gpus_before=old.gpus,
        extra_gpus=way.fleet.most_gpus - max(old.gpus, new.gpus),
        moves=moves(old, new),
        restarts=len(restarted(old, new)),
        added=len(after - before),
        departed=len(before - after),
        overloaded=tuple(sorted(way.overloaded)),
        steps=tuple(way.fleet.steps),
    )


def moves(old: Plan, new: Plan) -> int:
    """Count the loads of adapters that were served before, on servers that did not serve them."""
    before, adapters = routes_of(old), adapters_of(new)
    return sum(
        adapters[name].rank > 0 and name in before and server.name not in before[name]
        for server in new.servers
        for name in server.adapters
    )


def restarted(old: Plan, new: Plan) -> list[str]:
    """Return the servers that are in both plans, but with other settings, another profile or other merged weights."""
    before = {server.name: server for server in old.servers}
    stale = with_old_weights(old.servers, adapters_of(old), adapters_of(new))
    return [s.name for s in new.servers if s.name in before and (s.name in stale or _differ(before[s.name], s))]


def _differ(before: PlacedServer, after: PlacedServer) -> bool:
    """Whether a server must restart to become another one, where its adapters have the same weights."""
    merged = (merged_adapter(server.server, server.adapters) for server in (before, after))
    return (before.profile, before.server) != (after.profile, after.server) or len(set(merged)) > 1


class _Traffic(NamedTuple):
    """What a server gets for a while: the share of each adapter's requests."""

    profile: str
    settings: Server
    shares: Mapping[str, float]

    def is_within(self, other: "_Traffic | None") -> bool:
        """Whether it is no more than another one, on the same server."""
        return (
            other is not None
            and (self.profile, self.settings) == (other.profile, other.settings)
            and all(share <= other.shares.get(adapter, 0.0) for adapter, share in self.shares.items())
        )


class _Way:
    """The migration of a fleet to the new plan, in stages; `fleet` records the steps.

    `overloaded` has the servers that do not bear what a stage gives them.
    """

    def __init__(self, old: Plan, new: Plan, bears: Bears) -> None:
        self._bears = bears
        self.overloaded = set[str]()
        self._adapters = adapters_of(new)
        self.fleet = MovingFleet(old, self._adapters, new.profiles)
        self._before = {server.name: server for server in old.servers}
        self._after = {server.name: server for server in new.servers}
        self._goal = routes_of(new)
        self._new = new
        self._tokens = tokens_per_adapter(new.workload)
        self._ready = self._before.keys() & self._after.keys() - set(restarted(old, new))  # with their final settings
        self._stand_ins: list[str] = []
        self._first = {name: self._traffic_of(name) for name in self.fleet.settings}

    def refuse_departed(self) -> None:
        """Refuse requests for adapters that are no longer served, and unload these adapters."""
        for name in [name for name in self.fleet.routes if name not in self._adapters]:
            self.fleet.route(name, {})
            del self.fleet.routes[name]
        self._tidy()

    def start_new(self) -> None:
        """Start the servers that only the new plan has."""
        for server in self._after.values():
            if server.name not in self._before:
                self.fleet.start(server.name, server.profile, server.server, server.adapters)
                self._ready.add(server.name)

    def settle(self) -> None:
        """Load the adapters of all ready servers, route those that only ready servers will serve, and tidy up."""
        for name, server in self._after.items():
            for adapter in server.adapters if name in self._ready else ():
                self.fleet.load(name, adapter)
        for adapter in filter(self._is_served_by_ready, self._goal):
            self.fleet.route(adapter, self._goal[adapter])
        self._tidy()
        self._look_for_overload()

    def waiting(self) -> list[str]:
        """Return the servers that still have to restart, those with the fewest loaded adapters first."""
        return sorted(
            self._before.keys() & self._after.keys() - self._ready,
            key=lambda name: (len(self.fleet.loaded[name]), name),
        )

    def restart(self, name: str) -> None:
        """Restart a server while other servers take its traffic."""
        parked = {adapter: route for adapter, route in self.fleet.routes.items() if name in route}
        hosts = self._hosts(name, parked)
        if hosts is None:
            hosts = dict.fromkeys(parked, self._stand_in(self._after[name], parked))
        for adapter, host in hosts.items():
            if not self.fleet.has(host, adapter):
                self.fleet.load(host, adapter)
        for adapter, host in hosts.items():
            self.fleet.route(adapter, _with_host(parked[adapter], name, host))
        self._look_for_overload()
        self.fleet.restart(self._after[name])
        self._ready.add(name)
        for adapter in self._after[name].adapters:
            self.fleet.load(name, adapter)
        for adapter, route in parked.items():
            if name in self._goal[adapter] and not self._is_served_by_ready(adapter):
                self.fleet.route(adapter, route)  # its old route, until all servers of its new route are ready

    def stop_old(self) -> None:
        """Stop the servers that only the old plan has."""
        for name in self._before:
            if name not in self._after:
                self.fleet.stop(name)

    def _is_served_by_ready(self, adapter: str) -> bool:
        return self._goal[adapter].keys() <= self._ready

    def _tidy(self) -> None:
        """Unload adapters that ready servers no longer need, and stop stand-ins without traffic."""
        for server in self._after:
            for adapter in list(self.fleet.loaded[server]) if server in self._ready else ():
                if not self._is_needed(server, adapter):
                    self.fleet.unload(server, adapter)
        for name in [name for name in self._stand_ins if not self.fleet.serves_traffic(name)]:
            self.fleet.stop(name)
            self._stand_ins.remove(name)

    def _is_needed(self, server: str, adapter: str) -> bool:
        if adapter not in self._adapters or not self._adapters[adapter].rank:
            return False
        return server in self._goal[adapter] or server in self.fleet.routes[adapter]

    def _hosts(self, name: str, parked: dict[str, Route]) -> dict[str, str] | None:
        """Choose, for each parked adapter, a running server that takes its traffic and bears it; None if there is none.

        A server that does not bear what it would get is offered half of it, in a few rounds.
        """
        room = {other: self._room(other) for other in self.fleet.settings if other != name}
        for _ in range(PARKING_ROUNDS):
            hosts = self._hosts_by_room(name, parked, dict(room))
            if hosts is None:
                return None
            given = {
                host: {each: parked[each][name] for each in hosts if hosts[each] == host} for host in hosts.values()
            }
            failing = [host for host in given if not self._bears_with(host, given[host])]
            if not failing:
                return hosts
            for host in failing:
                room[host] = sum(self._tokens[each] * share for each, share in given[host].items()) / 2
        return None

    def _hosts_by_room(self, name: str, parked: dict[str, Route], room: dict[str, float]) -> dict[str, str] | None:
        """Choose, for each parked adapter, a server by the room that is left; None if some adapter has none.

        Ready servers that will serve the adapter anyway come first, then those with the most room.
        """
        hosts: dict[str, str] = {}
        tokens = {adapter: self._tokens[adapter] * route[name] for adapter, route in parked.items()}
        for adapter in sorted(parked, key=lambda adapter: -tokens[adapter]):
            able = [
                other
                for other in room
                if room[other] >= tokens[adapter]
                and (self.fleet.has(other, adapter) or self.fleet.can_serve(other, adapter))
            ]
            if not able:
                return None
            best = max(able, key=lambda other: (other in self._goal[adapter] and other in self._ready, room[other]))
            hosts[adapter] = best
            room[best] -= tokens[adapter]
        return hosts

    def _room(self, name: str) -> float:
        """Spare capacity of a server in tokens/s, from its forecast; infinite without one, and zero for a stand-in."""
        placed = (self._after if name in self._ready else self._before).get(name)
        if placed is None:
            return 0.0
        if placed.forecast is None:
            return math.inf
        taken = sum(self._tokens[adapter] * share for adapter, share in self._shares_on(name).items())
        return max(0.0, placed.forecast.offered_throughput * (1.0 + placed.forecast.headroom) - taken)

    def _shares_on(self, name: str) -> dict[str, float]:
        return {adapter: route[name] for adapter, route in self.fleet.routes.items() if name in route}

    def _traffic_of(self, name: str) -> _Traffic:
        return _Traffic(self.fleet.profiles[name], self.fleet.settings[name], self._shares_on(name))

    def _bears_with(self, name: str, more: Mapping[str, float]) -> bool:
        """Whether a server bears more traffic, beside that which is routed to it."""
        profile, settings, shares = self._traffic_of(name)
        return self._bears(
            profile, settings, {**shares, **{each: min(1.0, shares.get(each, 0.0) + more[each]) for each in more}}
        )

    def _look_for_overload(self) -> None:
        """Note the servers that do not bear their traffic, unless they have no more of it than before or afterwards."""
        for name in self.fleet.settings.keys() - self.overloaded:
            now = self._traffic_of(name)
            if (
                not now.is_within(self._first.get(name))
                and not now.is_within(self._last(name))
                and not self._bears(*now)
            ):
                self.overloaded.add(name)

    def _last(self, name: str) -> "_Traffic | None":
        after = self._after.get(name)
        return None if after is None else _Traffic(after.profile, after.server, after.adapters)

    def _stand_in(self, server: PlacedServer, parked: Iterable[str]) -> str:
        """Start an extra server for the time of a restart, able to load the parked adapters, and return its name."""
        name = f"{server.name}-stand-in"
        while name in self.fleet.settings or name in self._after:
            name += "-2"
        adapters = list(parked)
        self.fleet.start(name, server.profile, self._stand_in_settings(server, adapters), adapters)
        self._stand_ins.append(name)
        return name

    def _stand_in_settings(self, server: PlacedServer, parked: list[str]) -> Server:
        """Return the new or the old settings of a server, whichever serve the parked adapters; else raised ones.

        Merged weights serve the parked adapter if it is the merged one, and more of its traffic than slots do.
        """
        rank = max((self._adapters[adapter].rank for adapter in parked), default=0)
        candidates = (server, self._before[server.name])
        for each in candidates:
            if each.merged and list(each.adapters) == parked and rank:
                return each.server
        able = (each.server for each in candidates if each.server.can_load(rank))
        return next(able, _raised(server.server, rank, self._new.profile_of(server)))


def _raised(settings: Server, rank: int, profile: Profile) -> Server:
    """Return the settings with this rank, and with a single slot, so that the server starts in any case."""
    held = max(1, settings.adapters_in_host)
    return settings.with_slots(1, max_lora_rank=server_rank(rank, profile), max_cpu_loras=held)


def _with_host(route: Route, name: str, host: str) -> Route:
    """Return a route in which another server, the host, takes the share of one of its servers."""
    shares = {server: share for server, share in route.items() if server != name}
    shares[host] = min(1.0, shares.get(host, 0.0) + route[name])
    return shares
