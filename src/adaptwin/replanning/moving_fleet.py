"""MovingFleet: the servers of a fleet in migration, their loaded adapters and the routes; each change is a step."""

from collections.abc import Iterable

from adaptwin.plan.migration import Step
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.plan.routes import Route, adapters_of, routes_of
from adaptwin.profile.profile import Profile
from adaptwin.replanning.merged_weights import loaded_weights, merged_adapter
from adaptwin.twin.server import Server
from adaptwin.workload.workload import Adapter


class MovingFleet:
    """The state of a fleet that migrates from a running plan to the adapters of another workload.

    Each method that changes the state also appends a step to `steps`. Servers are started on one of the plan's profiles
    or of `profiles`.
    """

    def __init__(self, plan: Plan, adapters: dict[str, Adapter], profiles: Iterable[Profile] = ()) -> None:
        before = adapters_of(plan)
        self._adapters = adapters
        self._sizes = {profile.name: profile.tensor_parallel_size for profile in (*plan.profiles, *profiles)}
        self._gpus = {server.name: self._sizes[server.profile] for server in plan.servers}
        self.settings = {server.name: server.server for server in plan.servers}  # of the servers that run
        self.profiles = {server.name: server.profile for server in plan.servers}
        self.routes = routes_of(plan)
        self.loaded = {s.name: {name: None for name in s.adapters if before[name].rank} for s in plan.servers}
        self._stale = {
            (server, name)
            for server, names in self.loaded.items()
            for name in names
            if name in adapters and loaded_weights(adapters[name]) != loaded_weights(before[name])
        }
        self.steps: list[Step] = []
        self.most_gpus = sum(self._gpus.values())

    def start(self, name: str, profile: str, settings: Server, adapters: Iterable[str] = ()) -> None:
        """Start a server; with merged weights, it serves the only one of `adapters` at once."""
        assert name not in self.settings
        merged = self._run(name, settings, adapters)
        self.profiles[name] = profile
        self._gpus[name] = self._sizes[profile]
        self.most_gpus = max(self.most_gpus, sum(self._gpus.values()))
        self.steps.append(Step(action="start", server=name, profile=profile, settings=settings, adapter=merged))

    def restart(self, server: PlacedServer) -> None:
        """Restart a server, to which no requests are routed, with the settings of the new plan."""
        assert not self.serves_traffic(server.name)
        merged = self._run(server.name, server.server, server.adapters)
        self.profiles[server.name] = server.profile
        self._stale = {(on, name) for on, name in self._stale if on != server.name}
        self.steps.append(
            Step(
                action="restart",
                server=server.name,
                profile=server.profile,
                settings=server.server,
                adapter=merged,
            )
        )

    def stop(self, name: str) -> None:
        """Stop a server, to which no requests are routed."""
        assert not self.serves_traffic(name)
        del self.settings[name], self.profiles[name], self.loaded[name], self._gpus[name]
        self.steps.append(Step(action="stop", server=name))

    def load(self, server: str, name: str) -> None:
        """Load an adapter, unless its current weights are already loaded; the base model needs no load."""
        fresh = name in self.loaded[server] and (server, name) not in self._stale
        if fresh or not self._adapters[name].rank:
            return
        assert self.can_serve(server, name)
        self.loaded[server][name] = None
        self._stale.discard((server, name))
        self.steps.append(Step(action="load", server=server, adapter=name))

    def unload(self, server: str, name: str) -> None:
        """Unload an adapter from a server to which its requests are not routed."""
        assert server not in self.routes.get(name, {}) or not self._adapters[name].rank
        del self.loaded[server][name]
        self._stale.discard((server, name))
        self.steps.append(Step(action="unload", server=server, adapter=name))

    def route(self, name: str, shares: Route) -> None:
        """Route an adapter's requests to these servers, given with their shares; with no servers, refuse them."""
        if self.routes.get(name) == shares:
            return
        assert all(self.has(server, name) for server in shares.keys() - self.routes.get(name, {}).keys())
        self.routes[name] = dict(shares)
        self.steps.append(Step(action="route", adapter=name, shares=dict(shares)))

    def has(self, server: str, name: str) -> bool:
        """Whether a server runs and has the adapter loaded or merged; the base model needs no load."""
        if server not in self.settings:
            return False
        return name in self.loaded[server] or (not self._adapters[name].rank and self.can_serve(server, name))

    def can_serve(self, server: str, name: str) -> bool:
        """Whether the settings of a server allow it to load an adapter of this rank."""
        return self.settings[server].can_load(self._adapters[name].rank)

    def serves_traffic(self, server: str) -> bool:
        """Whether any requests are routed to a server."""
        return any(server in route for route in self.routes.values())

    def _run(self, name: str, settings: Server, adapters: Iterable[str]) -> str | None:
        """Note that a server runs with these settings and no adapter, unless it has one merged, which is returned."""
        merged = merged_adapter(settings, adapters)
        self.settings[name], self.loaded[name] = settings, {} if merged is None else {merged: None}
        return merged
