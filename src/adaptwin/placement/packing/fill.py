"""fill: give each server in turn the longest stretch of an order that is likely served, and back-fill it."""

from collections.abc import Callable, Sequence

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.largest import largest_count_near
from adaptwin.placement.capacity.server_demand import LeadingSets
from adaptwin.placement.capacity.slots import choose_slots
from adaptwin.placement.caution import FILL_LIKELIHOOD, MOST_LOAD
from adaptwin.placement.packing.items import Bin, Item, halved, likelihood_of_overload, load_of, shares_of
from adaptwin.placement.packing.problem import Problem
from adaptwin.placement.packing.unplaced import UnplacedItems

BACKFILL_LOAD = 0.05  # a server is back-filled if the item that did not fit takes more than this share of a GPU
STRETCH_FACTOR = 1.5  # the first search for a stretch goes up to this many times the load of the server before
FIRST_STRETCH_LOAD = 0.5  # best-case load at which the search for the first server's stretch starts


def fill(problem: Problem, order: list[Item], factor: float = 1.0) -> list[Bin]:
    """Return bins that are likely served at `factor` times their traffic: next-fit in this order, with back-fill.

    An item that no server likely serves at this factor starts a server of its own. If not even its own traffic is
    served, it is halved, or `Infeasible` is raised if it cannot be split.
    """
    capacity, queue, bins = problem.capacity, UnplacedItems(order), list[Bin]()
    load = FIRST_STRETCH_LOAD
    while queue:
        problem.progress("packing", queue.taken, len(queue))
        contents = fill_one(capacity, queue, load, factor)
        if not contents:
            alone = queue.first
            if not choose_slots(capacity, shares_of([alone])):
                queue = UnplacedItems([*halved(problem, alone), *queue.rest()[1:]])
                continue
            contents = _take(capacity, queue, [alone], factor)
        load = load_of(contents)
        bins.append(contents)
    problem.progress("packing", len(queue), len(queue))
    return bins


def fewest_bins(problem: Problem, ways: Sequence[list[Item]], factor: float = 1.0) -> list[Bin]:
    """Fill servers in each of these orders, and return the bins of the one that needs the fewest."""
    return min((fill(problem, way, factor) for way in ways), key=len)


def fill_one(capacity: Capacity, queue: UnplacedItems, load: float, factor: float = 1.0) -> Bin:
    """Take the longest stretch that is likely served, and back-fill it; empty if not even the first item is served.

    The search starts from a stretch with the given load.
    """
    for room in (min(MOST_LOAD / factor, STRETCH_FACTOR * load), MOST_LOAD / factor):
        stretch = list(queue.next_ones(room))
        holds = _holding(capacity, [], stretch, factor)
        count = largest_count_near(len(stretch), _count_up_to(stretch, load), holds)
        if count < len(stretch):
            break
    return _take(capacity, queue, stretch[:count], factor) if count else []


def _take(capacity: Capacity, queue: UnplacedItems, contents: Bin, factor: float) -> Bin:
    """Take these items off the queue, and the smallest items that still fit beside them."""
    queue.take(contents)
    if not queue or queue.first.load <= BACKFILL_LOAD:
        return contents
    small = list(queue.smallest_ones(contents, room=MOST_LOAD / factor - load_of(contents)))
    more = small[: largest_count_near(len(small), len(small) // 2, _holding(capacity, contents, small, factor))]
    queue.take(more)
    return contents + more


def _holding(capacity: Capacity, contents: Bin, more: list[Item], factor: float) -> Callable[[int], bool]:
    """Return a function that tells whether `contents` with the first `count` items of `more` are likely served."""
    if not more:
        return lambda _: True
    prefixes = LeadingSets([item.demand for item in [*contents, *more]])

    def holds(count: int) -> bool:
        items = [*contents, *more[:count]]
        return likelihood_of_overload(capacity, items, prefixes.first(len(items)), factor) <= FILL_LIKELIHOOD

    return holds


def _count_up_to(items: list[Item], load: float) -> int:
    """Number of first items whose loads sum to at most `load`; at least one."""
    count, total = 0, 0.0
    while count < len(items) and (total := total + items[count].load) <= load:
        count += 1
    return max(1, count)
