"""Ordering: the steps that turn one running fleet into another, with all adapters served all the way.

Everything is loaded first where it will be served, then routed there, then unloaded where it was. A server that gets
other settings must restart, and serves no adapters meanwhile: its traffic is parked on servers that run, have the rank
and have room for it, or else on a stand-in, for which one more GPU is needed for a while.
"""

import math
from collections.abc import Iterable

from adaptwin.plan.migration import Migration
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.plan.routes import Route, adapters_of, routes_of
from adaptwin.replanning.moving_fleet import MovingFleet
from adaptwin.twin.server import Server, server_rank


def migration(old: Plan, new: Plan) -> Migration:
    """The steps from the plan that runs to a new one; servers are the same where their names are.

    At every moment each adapter of both plans is routed to servers that run and have it loaded; a new one is routed
    once it is loaded, and a departed one is unloaded once it is not routed. An adapter is loaded only where
    ``max_lora_rank`` allows it. While adapters are doubled, a server may hold more of them than ``max_cpu_loras``: vLLM
    serves them all the same, but reads those least used from disk again.
    """
    way = _Way(old, new)
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
        steps=tuple(way.fleet.steps),
    )


def moves(old: Plan, new: Plan) -> int:
    """How often an adapter that was served before is loaded on a server that it was not on."""
    before, adapters = routes_of(old), adapters_of(new)
    return sum(
        adapters[name].rank > 0 and name in before and server.name not in before[name]
        for server in new.servers
        for name in server.adapters
    )


def restarted(old: Plan, new: Plan) -> list[str]:
    """Servers that are in both plans, but with other settings or on another profile."""
    before = {server.name: (server.profile, server.server) for server in old.servers}
    return [s.name for s in new.servers if s.name in before and before[s.name] != (s.profile, s.server)]


class _Way:
    """What is still to be done until the fleet is as the new plan wants it."""

    def __init__(self, old: Plan, new: Plan) -> None:
        self._adapters = adapters_of(new)
        self.fleet = MovingFleet(old, self._adapters)
        self._before = {server.name: server for server in old.servers}
        self._after = {server.name: server for server in new.servers}
        self._goal = routes_of(new)
        self._tokens = {a.name: new.workload.tokens_per_second(a) for a in new.workload.adapters}
        self._ready = self._before.keys() & self._after.keys() - set(restarted(old, new))  # with their final settings
        self._stand_ins: list[str] = []

    def refuse_departed(self) -> None:
        """Refuse requests of adapters that are no longer served, and unload them."""
        for name in [name for name in self.fleet.routes if name not in self._adapters]:
            self.fleet.route(name, {})
            del self.fleet.routes[name]
        self._tidy()

    def start_new(self) -> None:
        """Start the servers that do not run yet."""
        for server in self._after.values():
            if server.name not in self._before:
                self.fleet.start(server.name, server.profile, server.server)
                self._ready.add(server.name)

    def settle(self) -> None:
        """On ready servers, load what will be served there, route adapters that only they will serve, and tidy up."""
        for name, server in self._after.items():
            for adapter in server.adapters if name in self._ready else ():
                self.fleet.load(name, adapter)
        for adapter in filter(self._is_served_by_ready, self._goal):
            self.fleet.route(adapter, self._goal[adapter])
        self._tidy()

    def waiting(self) -> list[str]:
        """Servers that must restart, the one with the fewest adapters first."""
        return sorted(
            self._before.keys() & self._after.keys() - self._ready,
            key=lambda name: (len(self.fleet.loaded[name]), name),
        )

    def restart(self, name: str) -> None:
        """Restart a server, with its traffic parked elsewhere meanwhile."""
        parked = {adapter: route for adapter, route in self.fleet.routes.items() if name in route}
        hosts = self._hosts(name, parked)
        if hosts is None:
            hosts = dict.fromkeys(parked, self._stand_in(self._after[name], parked))
        for adapter, host in hosts.items():
            if not self.fleet.has(host, adapter):
                self.fleet.load(host, adapter)
        for adapter, host in hosts.items():
            self.fleet.route(adapter, _with_host(parked[adapter], name, host))
        self.fleet.restart(self._after[name])
        self._ready.add(name)
        for adapter in self._after[name].adapters:
            self.fleet.load(name, adapter)
        for adapter, route in parked.items():
            if name in self._goal[adapter] and not self._is_served_by_ready(adapter):
                self.fleet.route(adapter, route)  # as before, until the other servers of its goal are ready

    def stop_old(self) -> None:
        """Stop the servers that the new plan does not have."""
        for name in self._before:
            if name not in self._after:
                self.fleet.stop(name)

    def _is_served_by_ready(self, adapter: str) -> bool:
        return self._goal[adapter].keys() <= self._ready

    def _tidy(self) -> None:
        """Unload adapters that ready servers do not need, and stop stand-ins without traffic."""
        for server in self._after:
            for adapter in list(self.fleet.loaded[server]) if server in self._ready else ():
                if not self._is_needed(server, adapter):
                    self.fleet.unload(server, adapter)
        for name in [name for name in self._stand_ins if not self.fleet.serves_anybody(name)]:
            self.fleet.stop(name)
            self._stand_ins.remove(name)

    def _is_needed(self, server: str, adapter: str) -> bool:
        if adapter not in self._adapters or not self._adapters[adapter].rank:
            return False
        return server in self._goal[adapter] or server in self.fleet.routes[adapter]

    def _hosts(self, name: str, parked: dict[str, Route]) -> dict[str, str] | None:
        """For each adapter a running server with room for its part of a server's traffic; None if one finds none.

        Those that will serve it anyway come first, then those with the most room.
        """
        room = {other: self._room(other) for other in self.fleet.settings if other != name}
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
        """Tokens/s that a server can take more, as far as its forecast knows; a stand-in takes no more."""
        placed = (self._after if name in self._ready else self._before).get(name)
        if placed is None:
            return 0.0
        if placed.forecast is None:
            return math.inf
        routes = self.fleet.routes
        taken = sum(self._tokens[adapter] * route[name] for adapter, route in routes.items() if name in route)
        return max(0.0, placed.forecast.offered_throughput * (1.0 + placed.forecast.headroom) - taken)

    def _stand_in(self, server: PlacedServer, parked: Iterable[str]) -> str:
        """A server for the time of a restart, which bears the rank of the adapters parked on it."""
        name = f"{server.name}-stand-in"
        while name in self.fleet.settings or name in self._after:
            name += "-2"
        rank = max((self._adapters[adapter].rank for adapter in parked), default=0)
        candidates = (server.server, self.fleet.settings[server.name])
        settings = next((each for each in candidates if each.can_load(rank)), _raised(server.server, rank))
        self.fleet.start(name, server.profile, settings)
        self._stand_ins.append(name)
        return name


def _raised(settings: Server, rank: int) -> Server:
    """The settings with another rank, and a single slot, so that it surely starts."""
    return settings.model_copy(update={"max_loras": 1, "max_lora_rank": server_rank(rank)})


def _with_host(route: Route, name: str, host: str) -> Route:
    """A route with another server in the place of one of its own."""
    shares = {server: share for server, share in route.items() if server != name}
    shares[host] = min(1.0, shares.get(host, 0.0) + route[name])
    return shares
