"""proposed_lat: place adapters in the order of the workload, each on the GPU with the lowest sum of request rates.

This is ProposedLat of arXiv 2602.24044, which spreads adapters over all GPUs that it is given, for a low latency.
``max_loras`` is the number of adapters on the GPU, so that none is ever swapped. The request rate stands for the load:
lengths and ranks do not count.

The published code uses all GPUs that it is given; here, the smallest number that serves all adapters is taken. It
refuses a placement if the throughput that its models predict, plus 400 tokens/s, is more than 10 % (of the mean of the
two) below the tokens asked for; here, the twin or a confident surrogate must find every adapter served. It cannot split
an adapter; here, one that is too hot for one server is split into equal parts. Of GPUs with the same sum, the one with
the fewest adapters is taken.
"""

from adaptwin.placement.packing.fewest_servers import fewest_servers
from adaptwin.placement.packing.problem import Assignment, Problem, items_to_place, shares_of_parts
from adaptwin.placement.packing.slot_rule import SLOT_EACH
from adaptwin.placement.strategies.least_loaded import each_to_least


def proposed_lat(problem: Problem) -> list[Assignment]:
    """Balance the request rates in the order of the workload; every server gets a slot for each adapter."""
    capacity, items = problem.capacity, items_to_place(problem)

    def candidate(servers: int) -> list[dict[str, float]]:
        bins = each_to_least(items, lambda item: capacity.rate(item.name) * item.share, servers)
        return [shares_of_parts(contents) for contents in bins]

    return fewest_servers(problem, items, candidate, SLOT_EACH)
