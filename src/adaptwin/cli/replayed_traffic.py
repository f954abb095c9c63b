"""The traffic of a replay, and the servers that it goes to, as the options of the command say."""

from pathlib import Path

from adaptwin.errors import SpecError
from adaptwin.file_kinds import PLAN, PLANS, kinds_of
from adaptwin.live.applying.routes_file import RoutesFile
from adaptwin.live.applying.server_access import read_servers
from adaptwin.live.connection import server_urls
from adaptwin.live.replay import Followed, Routing
from adaptwin.live.traffic import ServerTraffic, traffic_of_fleet, traffic_of_plan
from adaptwin.plan.fleet import fleet_profiles, read_fleet
from adaptwin.plan.plan import Plan
from adaptwin.workload.drawing.requests import draw_requests


def traffic_to_send(
    source: Path,
    urls: list[str] | None,
    servers: Path | None,
    routes: Path | None,
    routing: str | None,
    duration: float | None,
    seed: int | None,
) -> tuple[list[ServerTraffic], Routing, Followed | None]:
    """Return the traffic of each server, how it is divided, and the servers behind a routes file if there is one."""
    if followed := _followed(servers, routes, urls, routing):
        return _traffic_to_follow(source, str(routes), duration, seed), "routes file", followed
    return *_traffic_of_source(source, _addresses(source, servers, urls), routing, duration, seed), None


def _followed(
    servers: Path | None, routes: Path | None, urls: list[str] | None, routing: str | None
) -> Followed | None:
    """Return the servers behind a routes file; None if there is no such file. Raises `SpecError`."""
    if routes is None:
        return None
    if servers is None or urls or routing:
        raise SpecError("needs --servers, and neither --url nor --routing", "--routes")
    RoutesFile.read(routes)
    return Followed(routes, read_servers(servers, None))


def _addresses(source: Path, servers: Path | None, urls: list[str] | None) -> list[str]:
    """Return the addresses of the servers, with their names if a file has them for a plan; raises `SpecError`."""
    if (servers is None) == (not urls):
        raise SpecError("give the addresses of the servers with --url, or with --servers", "--url")
    if servers is None:
        return urls or []
    found = read_servers(servers, None)
    if keyed := [name for name, each in found.items() if each.api_key_env or each.api_key_file]:
        raise SpecError("a key of its own is used with --routes only: give --api-key", keyed[0], servers)
    is_plan = PLAN in kinds_of(source)
    return [f"{name}={each.url}" if is_plan else each.url for name, each in found.items()]


def _traffic_to_follow(source: Path, place: str, duration: float | None, seed: int | None) -> list[ServerTraffic]:
    """Return the traffic of a fleet or a plan as a whole, which follows a routes file."""
    is_plan = PLAN in kinds_of(source)
    fleet = Plan.read(source) if is_plan else read_fleet(source)
    workload = fleet.workload
    if duration is not None:
        workload = workload.model_copy(update={"duration": duration})
    used = fleet.seed if seed is None else seed
    return [ServerTraffic("fleet", place, workload, draw_requests(workload, used), used)]


def _traffic_of_source(
    source: Path, urls: list[str], routing: str | None, duration: float | None, seed: int | None
) -> tuple[list[ServerTraffic], Routing]:
    """Return the traffic of each server, and how it is divided."""
    kinds = kinds_of(source)
    if PLANS in kinds:
        raise SpecError("holds plans for several base models: replay the plan of each", file=source)
    if PLAN in kinds:
        plan = Plan.read(source)
        way = routing or "plan"
        traffic = traffic_of_plan(plan, urls, plan.seed if seed is None else seed, duration, way)
        return traffic, "one server" if len(traffic) == 1 else "plan" if way == "plan" else "round-robin"
    if routing == "plan":
        raise SpecError(f"{source} is no plan, and only a plan says which adapter goes where", "routing")
    fleet = read_fleet(source)
    profile = fleet_profiles(fleet, source)[0] if fleet.profile else None
    workload = fleet.workload.model_copy(update={"duration": duration or fleet.duration})
    used_seed = fleet.seed if seed is None else seed
    server = fleet.server if fleet.server.model_fields_set else None
    traffic = traffic_of_fleet(workload, server_urls(urls), used_seed, server, profile)
    return traffic, "one server" if len(traffic) == 1 else "round-robin"
