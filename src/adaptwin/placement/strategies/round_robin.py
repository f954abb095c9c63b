"""round_robin: deal the adapters out in turn, over the smallest number of servers that all serve their hand."""

from adaptwin.placement.packing.fewest_servers import smallest_that_serves
from adaptwin.placement.packing.problem import Assignment, Problem, items_to_place, merged


def round_robin(problem: Problem) -> list[Assignment]:
    """Deal in the order of the workload; every server gets its best number of slots."""
    items = items_to_place(problem)
    return smallest_that_serves(problem, items, lambda servers: [merged(items[i::servers]) for i in range(servers)])
