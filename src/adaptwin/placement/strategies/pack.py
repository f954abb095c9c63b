"""pack, the default: fill servers to their limit, rank by rank, balance them, and try one fewer as long as that works.

Slots are preallocated at the highest rank on a server. Ranks are therefore placed in falling order, and a server mixes
two ranks only where one of them ends. Within a rank two orders are tried - hot adapters together, and hot and cold ones
in turn - because either can win: hot adapters together need few slots, mixed ones share slots better. Servers are
filled in these orders by the surrogate's predictions (`fill`), and balanced (`balance`). The twin checks every server,
and servers that it refuses are repaired by moves (`ruin_and_recreate`).

One server fewer is tried, in three ways, as long as one of them works: balancing at slightly less than the traffic,
because the surrogate is pessimistic and the twin makes the final check; placement by load; and giving up the emptiest
server, by ruin and recreate.
"""

from collections.abc import Callable
from functools import partial

import joblib

from adaptwin.errors import Infeasible
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.slots import SlotChoice, best_slots
from adaptwin.placement.caution import (
    DIVIDED_SHARE,
    FEWER_SERVERS_FACTOR,
    MANY_SERVERS,
    OTHER_ARRIVALS_FACTOR,
    RELIEF_SHARE,
    RUIN_SHARE,
    WORTH_SEARCHING_FACTOR,
    WORTH_TRYING_FACTOR,
)
from adaptwin.placement.configurations.bulk import bulk_of
from adaptwin.placement.configurations.classes import MOST_CLASSES, classes_of
from adaptwin.placement.configurations.estimate import divided_servers
from adaptwin.placement.packing.balance import FEW_ITEMS, Filled, balanced
from adaptwin.placement.packing.fill import fewest_bins
from adaptwin.placement.packing.items import Bin, Item, item_of, items_of, shares_of
from adaptwin.placement.packing.orders import by_falling_load, dealt, orders, to_least_loaded
from adaptwin.placement.packing.problem import Assignment, Problem
from adaptwin.placement.packing.ruin_and_recreate import refused, relieve, repaired_bins, without_emptiest

LEAST_DIVIDED = 4  # servers from which on it is predicted whether as many may suffice, if the items are not few
MOST_MISTAKES = 8  # times that servers are relieved which the surrogate approved and the twin refuses


def pack(problem: Problem) -> list[Assignment]:
    """Place all adapters on as few servers as the twin allows, as the module describes."""
    bulk = bulk_of(problem)
    if bulk is None:
        return assigned(problem, packed(problem, partial(items_of, problem)))
    if not bulk.left:
        return bulk.servers
    rest = problem._replace(lower_bound=max(1, problem.lower_bound - len(bulk.servers)))
    items = [item_of(rest, part, frozenset()) for part in bulk.left]
    ways = orders(items)
    few = _approved_filling(rest, ways, fewest_bins(rest, ways, OTHER_ARRIVALS_FACTOR), OTHER_ARRIVALS_FACTOR).bins
    return [*bulk.servers, *assigned(rest, few)]


def packed(problem: Problem, items: Callable[[float], list[Item]]) -> list[Bin]:
    """Return as few bins as can be found, each confirmed by the twin.

    Given a factor, `items` returns the items to place, each of which is served alone at that factor on its traffic.
    """
    ways, needed = orders(items(1.0)), 1.0
    first = fewest_bins(problem, ways, needed)
    if len(first) > MANY_SERVERS:
        ways, needed = orders(items(OTHER_ARRIVALS_FACTOR)), OTHER_ARRIVALS_FACTOR
        first = fewest_bins(problem, ways, needed)
    best, factor = _approved_filling(problem, ways, first, needed)
    while len(best) > max(1, problem.lower_bound) and not problem.out_of_time:
        together = factor * (len(best) - 1) / len(best)  # the factor on the traffic that one fewer could sustain
        if together < WORTH_TRYING_FACTOR or not _may_suffice(problem, ways[0], len(best) - 1):
            break
        fewer = _one_fewer(problem, ways, best, needed, together)
        if fewer is None:
            break
        best, factor = fewer, 1.0
    return best


def assigned(problem: Problem, bins: list[Bin]) -> list[Assignment]:
    """Assign each bin to a server with its best number of slots; relieve servers that turn out not to serve."""
    capacity = problem.capacity
    for mistake in range(MOST_MISTAKES + 1):
        problem.progress("choosing max_loras", 0, len(bins))
        calls = (joblib.delayed(_best_or_none)(capacity, contents) for contents in bins)
        fits: list[SlotChoice | None] = list(joblib.Parallel(n_jobs=-1, require="sharedmem")(calls))
        wrong = [index for index, fit in enumerate(fits) if fit is None]
        if not wrong:
            break
        if mistake == MOST_MISTAKES:
            best_slots(capacity, shares_of(bins[wrong[0]]))  # raises the error that says what is wrong
        bins = relieve(problem, bins, wrong, min(RUIN_SHARE, RELIEF_SHARE * 2.0**mistake))
    problem.progress("choosing max_loras", len(bins), len(bins))
    return [
        Assignment(capacity.server(shares, fit.max_loras), shares)
        for shares, fit in zip(map(shares_of, bins), fits, strict=True)
        if fit
    ]


def _best_or_none(capacity: Capacity, contents: Bin) -> SlotChoice | None:
    try:
        return best_slots(capacity, shares_of(contents))
    except Infeasible:
        return None


def _approved_filling(problem: Problem, ways: list[list[Item]], first: list[Bin], needed: float) -> Filled:
    """Return bins that the twin confirms, and the factor by which their traffic can grow according to the surrogate.

    Balanced bins are tried, repaired by moves if need be, then the same with one server more. If both fail, load is
    taken off the refused servers of the first filling, onto further servers if need be. The twin is first run at
    slightly more than the traffic, where the servers should sustain it.
    """
    for servers in (len(first), len(first) + 1):
        evened = balanced(problem, [*ways, dealt(ways[0], servers)], servers, needed)
        if evened is None:
            continue
        for factor in sorted({needed, max(needed, min(evened.factor, OTHER_ARRIVALS_FACTOR))}, reverse=True):
            if found := repaired_bins(problem, evened.bins, factor):
                return Filled(found, evened.factor / needed)
    return Filled(relieve(problem, first, refused(problem.capacity, first)), 1.0)


def _may_suffice(problem: Problem, items: list[Item], servers: int) -> bool:
    """Whether so many servers may suffice by predictions, if they could be divided; True where it is not predicted."""
    capacity = problem.capacity
    if servers < LEAST_DIVIDED or len(items) <= FEW_ITEMS or not capacity.surrogate_knows:
        return True
    parts = [part for item in items for part in item.shares]
    return len(classes_of(capacity, parts)) > MOST_CLASSES or DIVIDED_SHARE * divided_servers(problem, parts) <= servers


def _one_fewer(
    problem: Problem, ways: list[list[Item]], bins: list[Bin], needed: float, together: float
) -> list[Bin] | None:
    """Place all items on one server fewer, each confirmed by the twin at the factor `needed`; None if that fails."""
    servers = len(bins) - 1
    problem.progress(f"packing into {servers} servers", 0, 1)
    tight = balanced(problem, ways, servers, FEWER_SERVERS_FACTOR * needed, needed)
    found = tight and repaired_bins(problem, tight.bins, needed)
    if not found and together >= WORTH_SEARCHING_FACTOR:
        by_load = to_least_loaded(by_falling_load(ways[0]), servers)
        found = by_load and repaired_bins(problem, by_load, needed)
    if not found and problem.capacity.surrogate_knows and together >= WORTH_SEARCHING_FACTOR:
        found = without_emptiest(problem, bins, needed)
    problem.progress(f"packing into {servers} servers", 1, 1)
    return found
