"""Takeover: assign the adapters of failed servers to the servers that run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from adaptwin.placement.packing.items import Bin, Item, halved, load_of, may_join
from adaptwin.placement.packing.problem import MOST_PARTS, Problem
from adaptwin.twin.server import server_rank

SPLIT_LOAD = 0.03  # best-case load above which an adapter is split rather than put on a server that is full


@dataclass(slots=True)
class Taker:
    """A server that may take over adapters, and its limits."""

    contents: Bin  # the items that it serves before the failure
    limit: float  # the best-case load that it sustains
    rank: int  # rank of its slots; raised where an adapter of a higher rank is taken over
    most_rank: int  # highest rank to which its slots may be raised


def assign_takeovers(
    problem: Problem, unplaced: Bin, takers: Mapping[int, Taker], caps: Callable[[int], float], reluctance: float
) -> dict[int, Bin] | None:
    """Assign items to servers so that all become about equally full, as a share of their limits.

    Returns the items that each server takes over, by the server's number; None if an item finds no place. No server's
    load exceeds its cap. A server must be fuller than another by `reluctance` before the other's rank is raised.
    """
    taken: dict[int, Bin] = {}
    loads = {index: load_of(taker.contents) for index, taker in takers.items()}
    queue = sorted(unplaced, key=lambda item: (item.rank, item.load, item.name))
    while queue:
        item = queue.pop()

        def fullness(index: int, item: Item = item) -> float:
            return (loads[index] + item.load) / takers[index].limit

        def cost(index: int, item: Item = item) -> tuple[float, int]:
            return fullness(index, item) + reluctance * (takers[index].rank < item.rank), index

        open_ = [
            index
            for index, taker in takers.items()
            if item.rank <= taker.most_rank
            and loads[index] + item.load <= caps(index)
            and may_join(item, [*taker.contents, *taken.get(index, [])])
        ]
        best = min(open_, key=cost, default=None)
        if (best is None or fullness(best) > 1.0) and _may_be_split(item):
            queue += halved(problem, item)
            continue
        if best is None:
            return None
        taken.setdefault(best, []).append(item)
        loads[best] += item.load
        takers[best].rank = max(takers[best].rank, server_rank(item.rank, problem.capacity.profile))
    return taken


def _may_be_split(item: Item) -> bool:
    return len(item.shares) == 1 and item.load > SPLIT_LOAD and item.shares[0].share > 2.0 / MOST_PARTS
