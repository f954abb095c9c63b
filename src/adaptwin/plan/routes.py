"""Routes: which servers take an adapter's requests, and which share of them."""

from adaptwin.plan.plan import Plan
from adaptwin.workload.workload import Adapter

Route = dict[str, float]  # server: share of an adapter's requests


def adapters_of(plan: Plan) -> dict[str, Adapter]:
    """The adapters of a plan, by name."""
    return {adapter.name: adapter for adapter in plan.workload.adapters}


def routes_of(plan: Plan) -> dict[str, Route]:
    """By adapter, the servers that take its requests."""
    routes: dict[str, Route] = {adapter.name: {} for adapter in plan.workload.adapters}
    for server in plan.servers:
        for name, share in server.adapters.items():
            routes[name][server.name] = share
    return routes
