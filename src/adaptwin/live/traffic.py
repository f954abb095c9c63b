"""Traffic: the requests that one running server gets in a replay; they are those that the twin simulates."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from adaptwin.errors import SpecError, did_you_mean
from adaptwin.live.addresses import addresses_of
from adaptwin.placement.verification.verify import serving_cases
from adaptwin.plan.plan import Plan
from adaptwin.profile.profile import Profile
from adaptwin.twin.scenario import drawn_requests
from adaptwin.twin.server import Server
from adaptwin.visible import quoted, visible
from adaptwin.workload.drawing.requests import Requests, draw_requests
from adaptwin.workload.workload import Workload


class ServerTraffic(NamedTuple):
    """The requests of one server, and what is known of it."""

    name: str  # of the server
    url: str
    workload: Workload
    requests: Requests
    seed: int  # of the requests, with which `simulate` draws the same ones
    server: Server | None = None  # settings; None if they are not known
    profile: str | None = None  # name of the profile that the plan has for it


def traffic_of_fleet(
    workload: Workload, urls: Sequence[str], seed: int, server: Server | None, profile: Profile | None
) -> list[ServerTraffic]:
    """Return the traffic of a fleet: all of it to one server, or one request after the other to several in turn.

    With a profile, answers end early as often as its model's do.
    """
    requests = drawn_requests(profile, workload, seed) if profile else draw_requests(workload, seed)
    name = profile.name if profile else None
    if len(urls) == 1:
        return [ServerTraffic("server", urls[0], workload, requests, seed, server, name)]
    return _in_turn(
        workload, requests, [(f"server-{place}", url) for place, url in enumerate(urls)], seed, server, name
    )


def _in_turn(
    workload: Workload,
    requests: Requests,
    servers: Sequence[tuple[str, str]],
    seed: int,
    server: Server | None,
    profile: str | None,
) -> list[ServerTraffic]:
    places = np.arange(len(requests.arrival)) % len(servers)
    return [
        ServerTraffic(name, url, workload, requests.of(places == place), seed, server, profile)
        for place, (name, url) in enumerate(servers)
    ]


def traffic_of_plan(
    plan: Plan, urls: Sequence[str], seed: int, duration: float | None, routing: str
) -> list[ServerTraffic]:
    """Return the traffic of a plan's servers, routed as the plan says, or ``round-robin``.

    Args:
        plan: The plan.
        urls: Address of each server that serves adapters, in the order of the plan, or ``NAME=URL`` for each.
        seed: Seed of arrivals and lengths.
        duration: Seconds of arrivals; None: those of the plan.
        routing: ``plan`` or ``round-robin``, which sends every request to the next server.
    """
    serving = plan.serving
    url_of = _urls_by_name([server.name for server in serving], urls)
    if duration is not None:
        plan = plan.model_copy(update={"workload": plan.workload.model_copy(update={"duration": duration})})
    cases = serving_cases(plan, serving, seed)
    if routing == "round-robin":
        case = cases[0]
        requests = drawn_requests(case.profile, plan.workload, seed)
        named = [(server.name, url_of[server.name]) for server in serving]
        return _in_turn(plan.workload, requests, named, seed, None, None)
    return [
        ServerTraffic(
            server.name,
            url_of[server.name],
            case.workload,
            drawn_requests(case.profile, case.workload, case.seed or 0),
            case.seed or 0,
            server.server,
            server.profile,
        )
        for server, case in zip(serving, cases, strict=True)
    ]


def _urls_by_name(names: Sequence[str], texts: Sequence[str]) -> dict[str, str]:
    """Return the address of each server; raises `SpecError` if one is wrong, missing, unknown or given twice."""
    addresses = addresses_of(texts)
    by_name = {address.name: address.url for address in addresses if address.name is not None}
    if unknown := [name for name in by_name if name not in names]:
        meant = did_you_mean(unknown[0], names)
        raise SpecError(f"the plan has no server {quoted(unknown[0])}: it has {_some(names)}{meant}", "url")
    unnamed = [name for name in names if name not in by_name]
    rest = [address.url for address in addresses if address.name is None]
    if len(rest) != len(unnamed):
        what = f"the plan has {_counted_servers(len(names))} ({_some(names)})"
        raise SpecError(f"{what}, each of which needs an address: {len(names)}, not {len(texts)}", "url")
    return {**by_name, **dict(zip(unnamed, rest, strict=True))}


def _counted_servers(count: int) -> str:
    return f"{count} server{'s' if count > 1 else ''}"


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(map(visible, names[:8]))}{', ...' if len(names) > 8 else ''}"
