"""fewest_servers: the smallest number of servers, for a strategy that places adapters on a given number of them."""

from collections.abc import Callable, Sequence

from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.packing.not_served import unservable
from adaptwin.placement.packing.problem import Assignment, Problem, shares_of_parts
from adaptwin.placement.packing.slot_rule import BEST, SlotRule

BinsFor = Callable[[int], Sequence[dict[str, float]]]  # maps a number of servers to the adapters of each


def fewest_servers(
    problem: Problem, items: list[AdapterPart], bins_for: BinsFor, rule: SlotRule = BEST, at_least: int = 1
) -> list[Assignment]:
    """Return the placement on the fewest servers that serve all their adapters, trying one number after another.

    Past the deadline, the number grows by half at each step. Servers without adapters are left out. With as many
    servers as items, each item gets a server of its own, whatever `bins_for` returns. Raises `Infeasible` if an item is
    not served even so.
    """
    capacity = problem.capacity
    servers = max(1, problem.lower_bound, at_least)
    while servers < len(items):
        problem.progress(f"trying {servers} servers", servers, len(items))
        bins = [contents for contents in bins_for(servers) if contents]
        likely_to_fail_first = sorted(bins, key=capacity.load, reverse=True)
        if all(rule.serves(capacity, contents) for contents in likely_to_fail_first):
            return _assignments(problem, bins, rule)
        servers += max(1, servers // 2) if problem.out_of_time else 1
    problem.progress(f"trying {len(items)} servers", len(items), len(items))
    for item in items:
        if not rule.serves(capacity, shares_of_parts([item])):
            raise unservable(capacity, item)
    return _assignments(problem, [shares_of_parts([item]) for item in items], rule)


def _assignments(problem: Problem, bins: list[dict[str, float]], rule: SlotRule) -> list[Assignment]:
    capacity = problem.capacity
    return [Assignment(capacity.server(contents, rule.slots(capacity, contents)), contents) for contents in bins]
