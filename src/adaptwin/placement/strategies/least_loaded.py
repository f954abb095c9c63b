"""least_loaded: place adapters by falling load, each on the least loaded of the fewest servers that serve them all.

This is the longest-processing-time rule, LPT (Graham, "Bounds on multiprocessing timing anomalies", 1969).
"""

import heapq
from collections.abc import Callable

from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.packing.fewest_servers import fewest_servers
from adaptwin.placement.packing.problem import Assignment, Problem, items_to_place, shares_of_parts


def least_loaded(problem: Problem) -> list[Assignment]:
    """Balance the best-case load; every server gets its best number of slots."""
    load = problem.capacity.load_of
    items = sorted(items_to_place(problem), key=lambda item: (-load(item), item.name))
    return fewest_servers(
        problem, items, lambda servers: [shares_of_parts(contents) for contents in each_to_least(items, load, servers)]
    )


def each_to_least(
    order: list[AdapterPart], load: Callable[[AdapterPart], float], servers: int
) -> list[list[AdapterPart]]:
    """Place each item, in this order, on the server with the least load so far; on a tie, with the fewest items."""
    bins: list[list[AdapterPart]] = [[] for _ in range(servers)]
    least = [(0.0, 0, server) for server in range(servers)]  # load, items, server: a heap
    for item in order:
        loaded, count, server = least[0]
        bins[server].append(item)
        heapq.heapreplace(least, (loaded + load(item), count + 1, server))
    return bins
