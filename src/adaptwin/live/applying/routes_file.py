"""RoutesFile: which servers take the requests of each adapter now; routers follow it while a plan is applied."""

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from adaptwin import file_kinds
from adaptwin.plan.plan import Plan
from adaptwin.plan.routes import Route, routes_of
from adaptwin.plan.traffic_share import TrafficShare
from adaptwin.spec import Name, Spec


class RoutesFile(Spec):
    """The routes of all adapters: for each, the servers that take its requests, with their shares."""

    file_kind = file_kinds.ROUTES

    routes: dict[Name, dict[Name, TrafficShare]] = Field(
        description="share of an adapter's requests that each server takes, by adapter; without servers, its requests "
        "are refused"
    )
    settled: bool = Field(
        default=True, description="whether all routers are known to follow these routes; false while they are switched"
    )


def planned_routes(plans: Iterable[Plan]) -> dict[str, Route]:
    """Return the routes of plans, which have different adapters."""
    return {name: route for plan in plans for name, route in routes_of(plan).items()}


def read_routes(path: Path) -> dict[str, Route] | None:
    """Return the routes of a file; None if there is no such file. Raises `SpecError` if it is damaged."""
    return RoutesFile.read(path).routes if path.exists() else None


def are_settled(path: Path) -> bool:
    """Whether all routers are known to follow the routes of a file; not if a switch of routes was stopped."""
    return path.exists() and RoutesFile.read(path).settled
