"""smallest_that_serves: for strategies that deal adapters to a given number of servers, how many that has to be."""

from collections.abc import Callable, Sequence

from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.packing.problem import Assignment, Problem, merged, unservable
from adaptwin.placement.packing.slot_rule import BEST, SlotRule

Deal = Callable[[int], Sequence[dict[str, float]]]  # what each server gets when there are so many


def smallest_that_serves(
    problem: Problem, items: list[AdapterPart], deal: Deal, rule: SlotRule = BEST, at_least: int = 1
) -> list[Assignment]:
    """The smallest number of servers with which each of them is served, trying one number after another.

    Past the deadline numbers are tried in leaps, each half as large again. Servers that get nothing are left out. With
    as many servers as items, each item gets its own, whatever the deal. Raises `Infeasible` when an item is not served
    even so.
    """
    capacity = problem.capacity
    servers = max(1, problem.lower_bound, at_least)
    while servers < len(items):
        problem.progress(f"trying {servers} GPUs", servers, len(items))
        hands = [hand for hand in deal(servers) if hand]
        likely_to_fail_first = sorted(hands, key=capacity.load, reverse=True)
        if all(rule.serves(capacity, hand) for hand in likely_to_fail_first):
            return _assignments(problem, hands, rule)
        servers += max(1, servers // 2) if problem.out_of_time else 1
    problem.progress(f"trying {len(items)} GPUs", len(items), len(items))
    for item in items:
        if not rule.serves(capacity, merged([item])):
            raise unservable(problem, item)
    return _assignments(problem, [merged([item]) for item in items], rule)


def _assignments(problem: Problem, hands: list[dict[str, float]], rule: SlotRule) -> list[Assignment]:
    capacity = problem.capacity
    return [Assignment(capacity.server(hand, rule.slots(capacity, hand)), hand) for hand in hands]
