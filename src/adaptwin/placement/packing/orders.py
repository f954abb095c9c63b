"""Orders in which items are put on servers, and deals to a given number of them."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from adaptwin.placement.packing.items import Bin, Item, gets_on

T = TypeVar("T")


def orders(items: list[Item]) -> list[list[Item]]:
    """Orders to fill servers in: by falling rank, then hot ones together, or hot and cold ones in turn."""
    falling = sorted(items, key=lambda item: (-item.rank, -item.load, item.name))
    return [falling, alternating(falling, lambda item: item.rank)]


def falling(items: Sequence[Item]) -> list[Item]:
    """The largest first."""
    return sorted(items, key=lambda item: (-item.load, item.name))


def alternating(falling: list[T], rank: Callable[[T], int]) -> list[T]:
    """Within each rank: the largest, the smallest, the second largest, ..."""
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
    """The items dealt out to this many servers, there and back again, one hand after the other."""
    hands: list[list[T]] = [[] for _ in range(servers)]
    for i, item in enumerate(falling):
        turn, place = divmod(i, servers)
        hands[servers - 1 - place if turn % 2 else place].append(item)
    return [item for hand in hands for item in hand]


def least_loaded(order: Sequence[Item], servers: int) -> list[Bin] | None:
    """Each item, in this order, to the least loaded of so many servers that it gets on with; None if there is none."""
    hands: list[Bin] = [[] for _ in range(servers)]
    loads = [0.0] * servers
    for item in order:
        friendly = [index for index in range(servers) if gets_on(item, hands[index])]
        if not friendly:
            return None
        index = min(friendly, key=loads.__getitem__)
        hands[index].append(item)
        loads[index] += item.load
    return hands
