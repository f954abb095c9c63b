"""standby: GPUs without adapters, one of which starts with the settings and all adapters of a server that fails."""

from collections.abc import Collection

from adaptwin.plan.failover import Failover
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.plan.routes import Route, routes_of
from adaptwin.plan.server_names import new_name


def with_standbys(plan: Plan, taken: Collection[str] = ()) -> Plan:
    """Add `PlanOptions.spare` standbys for each profile in use; the failovers name the first standby of the profile.

    When another server fails, the next standby takes its place. Names in `taken` are those of servers of other plans.
    """
    servers, first = list(plan.servers), dict[str, PlacedServer]()
    for server in plan.servers:
        for _ in range(plan.options.spare if server.profile not in first else 0):
            name = new_name([*(other.name for other in servers), *taken])
            servers.append(server.model_copy(update={"name": name, "adapters": {}, "forecast": None, "choices": ()}))
            first.setdefault(server.profile, servers[-1])
    routes = routes_of(plan)
    failovers = (_failover(server, first[server.profile].name, routes) for server in plan.servers)
    return plan.model_copy(update={"servers": tuple(servers), "failover": tuple(failovers)})


def _failover(server: PlacedServer, standby: str, routes: dict[str, Route]) -> Failover:
    moved = {
        adapter: {standby if on == server.name else on: share for on, share in routes[adapter].items()}
        for adapter in server.adapters
    }
    return Failover(failed=(server.name,), routes=moved, settings={standby: server.server})
