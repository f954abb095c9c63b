"""random: place each adapter on a random server, out of the fewest servers that serve all adapters this way."""

from itertools import groupby

from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.packing.fewest_servers import fewest_servers
from adaptwin.placement.packing.problem import Assignment, Problem, items_to_place, shares_of_parts
from adaptwin.workload.drawing.seeds import stream_seed


def random_placement(problem: Problem) -> list[Assignment]:
    """Draw a server for each adapter from the workload's seed; every server gets its best number of slots.

    Each adapter draws from a stream of its own, so that further adapters, or another order, do not change its draw.
    """
    seed, items = problem.capacity.workload.seed, items_to_place(problem)
    draws = [
        stream_seed(seed, "placement", name, str(part))
        for name, parts in groupby(items, key=lambda item: item.name)
        for part, _ in enumerate(parts)
    ]

    def candidate(servers: int) -> list[dict[str, float]]:
        bins: list[list[AdapterPart]] = [[] for _ in range(servers)]
        for item, draw in zip(items, draws, strict=True):
            bins[draw % servers].append(item)
        return [shares_of_parts(contents) for contents in bins]

    return fewest_servers(problem, items, candidate)
