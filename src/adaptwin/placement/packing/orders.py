"""Orders in which items are placed on servers, and simple placements on a given number of servers."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from adaptwin.placement.packing.items import Bin, Item, may_join

T = TypeVar("T")


def orders(items: list[Item]) -> list[list[Item]]:
    """Return the orders in which to fill servers: by falling rank, hot items together, or hot and cold ones in turn."""
    falling = sorted(items, key=lambda item: (-item.rank, -item.load, item.name))
    return [falling, alternating(falling, lambda item: item.rank)]


def by_falling_load(items: Sequence[Item]) -> list[Item]:
    """Return the items with the largest load first."""
    return sorted(items, key=lambda item: (-item.load, item.name))


def alternating(falling: list[T], rank: Callable[[T], int]) -> list[T]:
    """Order the items within each rank as the largest, the smallest, the second largest, and so on."""
    groups: dict[int, list[T]] = {}
    for item in falling:
        groups.setdefault(rank(item), []).append(item)
    turns: list[T] = []
    for group in groups.values():
        half = (len(group) + 1) // 2
        for high, low in zip(group[:half], [*reversed(group[half:]), None], strict=False):
            turns += [high] if low is None else [high, low]
    return turns


def dealt(falling: list[T], servers: int) -> list[T]:
    """Deal the items to `servers` servers, back and forth, and return them server by server."""
    bins: list[list[T]] = [[] for _ in range(servers)]
    for i, item in enumerate(falling):
        turn, place = divmod(i, servers)
        bins[servers - 1 - place if turn % 2 else place].append(item)
    return [item for contents in bins for item in contents]


def to_least_loaded(order: Sequence[Item], servers: int) -> list[Bin] | None:
    """Place each item, in this order, on the least loaded server that it may join; None if it may join none."""
    bins: list[Bin] = [[] for _ in range(servers)]
    loads = [0.0] * servers
    for item in order:
        allowed = [index for index in range(servers) if may_join(item, bins[index])]
        if not allowed:
            return None
        index = min(allowed, key=loads.__getitem__)
        bins[index].append(item)
        loads[index] += item.load
    return bins
