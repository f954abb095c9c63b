"""Relief: servers that can no longer serve their adapters give some of them away, or restart with other settings."""

import math
from collections.abc import Collection, Mapping

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.largest import largest_count, largest_within
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.caution import REPLAN_RELIEF_SHARE
from adaptwin.replanning.rearrangement import Rearrangement, serves
from adaptwin.twin.server import Server

SIZE_TRIES = 6  # tries at relieving a server, each with smaller adapters than the last
LEAST_KEPT_SHARE = 0.02  # of its traffic that a server with merged weights keeps, and the precision of what it keeps


def repaired(fleet: Rearrangement, names: list[str]) -> Rearrangement:
    """Return the fleet with each of these servers able to serve its adapters.

    A server that cannot is relieved of load by other servers or restarts with other settings, whichever is cheaper.
    Where neither costs less than the GPUs of a new server, the adapters that it cannot serve become unplaced.
    """
    for name in names:
        if fleet.is_served(name):
            continue
        ways = [way for way in (_relieved(fleet, name), _restarted(fleet, name)) if way]
        way = min(ways, key=Rearrangement.cost, default=None)
        worth_it = way is not None and way.cost() < fleet.cost() + fleet.running.gpus_per_server
        fleet = way if way and worth_it else _without_surplus(fleet, name)
    return fleet


def relieved(fleet: Rearrangement, names: set[str], *, careful: bool) -> Rearrangement:
    """Return the fleet with a small part of the load of these servers moved to other servers, or to new ones.

    Where a new server would be needed, and restarting these servers with other settings costs less, they restart. With
    `careful`, the other servers must keep some headroom, so that they do not fail the next verification.
    """
    trial = fleet.copy()
    trial.closed, trial.careful = frozenset(names), careful
    for name in sorted(names):
        trial.take(name, _relief_of(trial, name))
    trial = trial.housed()
    trial.closed, trial.careful = frozenset(), False
    others = _all_restarted(fleet, names) if len(trial.contents) > len(fleet.contents) else None
    return others if others and others.cost() < trial.cost() else trial


def _all_restarted(fleet: Rearrangement, names: set[str]) -> Rearrangement | None:
    """Return the fleet with all of these servers restarted, with some headroom; None where that is impossible."""
    trial = fleet.copy()
    for name in sorted(names):
        settings, shares = fleet.contents[name]
        if settings is None or not serves(fleet.running.roomy, shares, None):
            return None
        trial.restart(name)
    return trial


def _relieved(fleet: Rearrangement, name: str) -> Rearrangement | None:
    """Move adapters to other servers until a server can serve the rest; None where the others cannot take them.

    The first try moves the fewest adapters, the next ones move smaller adapters.
    """
    largest = math.inf
    for _ in range(SIZE_TRIES):
        trial = fleet.copy()
        trial.unplaced = []
        items = _surplus(trial, name, largest)
        if items is None:
            return None
        trial.take(name, items)
        trial.closed |= {name}
        trial.settle()
        if not trial.unplaced:
            trial.unplaced, trial.closed = list(fleet.unplaced), fleet.closed
            return trial
        largest = max(fleet.capacity.load_of(item) for item in trial.unplaced) / 2
    return None


def _restarted(fleet: Rearrangement, name: str) -> Rearrangement | None:
    """Return the fleet with a server restarted to serve all of its adapters; None where no settings serve them."""
    if not serves(fleet.capacity, fleet.contents[name].shares, None):
        return None
    trial = fleet.copy()
    trial.restart(name)
    return trial


def _without_surplus(fleet: Rearrangement, name: str) -> Rearrangement:
    trial = fleet.copy()
    trial.take(name, _surplus(trial, name, math.inf) or [])
    return trial


def _surplus(fleet: Rearrangement, name: str, largest: float) -> list[AdapterPart] | None:
    """Return the fewest items to take off a server so that its settings serve the rest; None where that is impossible.

    Items with a load above `largest` stay. Items whose rank is too high for the server are always taken. The others
    are taken in order of falling load, but the last one taken is the smallest that suffices. Items that are pinned to
    the server stay, unless the server cannot serve even them. Of an adapter with merged weights, a part is taken.
    """
    settings, shares = fleet.contents[name]
    if settings is not None and settings.merged:
        items = _surplus_of_merged(fleet.capacity, shares, settings)
        return None if any(fleet.capacity.load_of(item) > largest for item in items) else items
    pinned = [adapter for adapter in fleet.contents[name].shares if fleet.is_pinned(adapter)]
    found = _surplus_but(fleet, name, largest, pinned)
    return _surplus_but(fleet, name, largest, []) if found is None and pinned else found


def _surplus_of_merged(capacity: Capacity, shares: Mapping[str, float], settings: Server) -> list[AdapterPart]:
    """Return the part of a merged adapter's traffic that its server cannot serve: all where it serves none."""
    ((name, share),) = shares.items()

    def serves_part(kept: float) -> bool:
        return serves(capacity, {name: kept}, settings)

    if serves_part(share):
        return []
    least = share * LEAST_KEPT_SHARE
    kept = largest_within(least, share, share * LEAST_KEPT_SHARE, serves_part).low if serves_part(least) else 0.0
    return [AdapterPart(name, share - kept)]


def _surplus_but(fleet: Rearrangement, name: str, largest: float, staying: Collection[str]) -> list[AdapterPart] | None:
    """Return the fewest items as `_surplus` does, but none of the adapters that must stay."""
    capacity, (settings, shares) = fleet.capacity, fleet.contents[name]
    falling = sorted(
        (AdapterPart(*item) for item in shares.items()), key=lambda item: (-capacity.load_of(item), item.name)
    )
    misfits = [item for item in falling if settings and not settings.can_load(capacity.adapter(item.name).rank)]
    items = [
        item
        for item in falling
        if item not in misfits and item.name not in staying and capacity.load_of(item) <= largest
    ]

    def suffices(taken: list[AdapterPart]) -> bool:
        off = {item.name for item in (*misfits, *taken)}
        return serves(capacity, {name: share for name, share in shares.items() if name not in off}, settings)

    if not suffices(items):
        return None
    spare = largest_count(len(items), lambda kept: suffices(items[: len(items) - kept]))
    count = len(items) - spare
    if count == 0:
        return misfits
    first, rest = items[: count - 1], items[count - 1 :]
    later = largest_count(len(rest) - 1, lambda skipped: suffices([*first, rest[skipped]]))
    return [*misfits, *first, rest[later]]


def _relief_of(fleet: Rearrangement, name: str) -> list[AdapterPart]:
    """Return few items that make up a small part of a server's load; half of its adapter where it has only one.

    Items that are pinned to the server stay. Of an adapter with merged weights, a small part is taken.
    """
    capacity, (settings, shares) = fleet.capacity, fleet.contents[name]
    if settings is not None and settings.merged:
        return [AdapterPart(adapter, share * REPLAN_RELIEF_SHARE) for adapter, share in shares.items()]
    if len(shares) == 1 and not any(map(fleet.is_pinned, shares)):
        return [AdapterPart(adapter, share / 2) for adapter, share in shares.items()]
    left = REPLAN_RELIEF_SHARE * fleet.load_of(name)
    rising = sorted(
        (AdapterPart(*item) for item in shares.items() if not fleet.is_pinned(item[0])),
        key=lambda item: (capacity.load_of(item), item.name),
    )
    chosen: list[AdapterPart] = []
    while left > 0 and rising and len(chosen) + 1 < len(shares):
        item = next((item for item in rising if capacity.load_of(item) >= left), rising[-1])
        chosen.append(item)
        rising.remove(item)
        left -= capacity.load_of(item)
    return chosen
