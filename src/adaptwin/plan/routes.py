"""Routes: the servers that take an adapter's requests, and the share of each."""

from adaptwin.plan.plan import Plan
from adaptwin.workload.workload import Adapter

Route = dict[str, float]  # server: share of an adapter's requests


def adapters_of(plan: Plan) -> dict[str, Adapter]:
    """Return the adapters of a plan, by name."""
    return {adapter.name: adapter for adapter in plan.workload.adapters}


def routes_of(plan: Plan) -> dict[str, Route]:
    """Return the servers that take each adapter's requests, by adapter."""
    routes: dict[str, Route] = {adapter.name: {} for adapter in plan.workload.adapters}
    for server in plan.servers:
        for name, share in server.adapters.items():
            routes[name][server.name] = share
    return routes
