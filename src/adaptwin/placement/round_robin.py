"""round_robin: deal the adapters out in turn, over the smallest number of servers that all serve their hand."""

from collections.abc import Callable

from adaptwin.placement.capacity import Share
from adaptwin.placement.problem import Assignment, Problem, items_to_place, merged, unservable

Deal = Callable[[list[Share], int], list[list[Share]]]


def round_robin(problem: Problem) -> list[Assignment]:
    """Deal in the order of the workload; every server gets its best number of slots."""
    return smallest_that_serves(problem, lambda items, servers: [items[i::servers] for i in range(servers)])


def smallest_that_serves(problem: Problem, deal: Deal) -> list[Assignment]:
    """The hands of the smallest number of servers with which each hand is served, trying one number after another."""
    capacity = problem.capacity
    items = items_to_place(problem)
    for servers in range(max(1, problem.lower_bound), len(items) + 1):
        problem.progress(f"trying {servers} GPUs", servers, len(items))
        hands = [merged(hand) for hand in deal(items, servers) if hand]
        if all(capacity.fit(hand) for hand in hands):
            return [Assignment(capacity.server(hand, capacity.best(hand).max_loras), hand) for hand in hands]
    raise unservable(problem, next(item for item in items if not capacity.fit(merged([item]))))
