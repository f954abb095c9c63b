"""round_robin: deal the adapters to servers in turn, to the fewest servers that serve all adapters this way."""

from adaptwin.placement.packing.fewest_servers import fewest_servers
from adaptwin.placement.packing.problem import Assignment, Problem, items_to_place, shares_of_parts


def round_robin(problem: Problem) -> list[Assignment]:
    """Deal adapters in the order of the workload; every server gets its best number of slots."""
    items = items_to_place(problem)
    return fewest_servers(problem, items, lambda servers: [shares_of_parts(items[i::servers]) for i in range(servers)])
