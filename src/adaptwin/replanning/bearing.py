"""Bearing: whether a server bears the traffic that the steps of a migration give it for a while, by the twin."""

from collections.abc import Callable, Mapping
from itertools import chain

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.plan.plan import Plan
from adaptwin.twin.server import Server

Bears = Callable[[str, Server, Mapping[str, float]], bool]


def bears_by_twin(old: Plan, new: Plan) -> Bears:
    """Return a function from profile, settings and the share of each adapter to whether a server bears this traffic.

    The traffic is that of the new plan, as the old one is given up because of it. A server bears it if it starts, no
    adapter is starved, and its queue does not grow. Answers are kept.
    """
    profiles = {profile.name: profile for profile in chain(old.profiles, new.profiles)}
    capacities: dict[str, Capacity] = {}

    def bears(profile: str, server: Server, shares: Mapping[str, float]) -> bool:
        if not shares:
            return True
        if profile not in capacities:
            capacities[profile] = Capacity(profiles[profile], new.workload, server)
        return capacities[profile].ask_on(shares, server).ok

    return bears
