"""pack, the default: fill servers to the brim, rank by rank, level them, and do with one fewer while there is room.

Slots are preallocated at the highest rank on a server, so ranks are placed in falling order and a server mixes two
ranks only where one of them ends. Within a rank two orders are tried - hot adapters together, and hot ones dealt
between cold ones - because either can win: hot adapters together need few slots, mixed ones share them better.
Each server takes the longest prefix of the order that the twin finds served, found by bisection, and then as many of
the smallest remaining adapters as its hole holds. Then the orders, and a deal of all ranks to all servers, are cut into
as many stretches equally far from their limits; and as long as all servers together have room for it, into one fewer.
"""

import math
from collections.abc import Callable

import joblib
import numpy as np
from numpy.typing import NDArray

from adaptwin.placement.capacity import Capacity, Fit, Share
from adaptwin.placement.problem import Assignment, Problem, halves, items_to_place, merged
from adaptwin.placement.strategies.squeeze import squeeze

BACKFILL_ABOVE = 0.05  # a hole is worth filling when the item that did not fit would take this share of a GPU
WORTH_TRYING = 0.93  # share of the traffic that one server fewer should bear by the numbers, before it is tried
WORTH_SQUEEZING = 0.88  # the same, before ruin and recreate is tried
LEVELLINGS = 3  # rounds of levelling
LEVELLED = 32  # more servers than this are left as they were filled


def pack(problem: Problem) -> list[Assignment]:
    """Place all adapters on as few servers as the twin allows; see the module."""
    capacity, items = problem.capacity, items_to_place(problem)
    ways = orders(capacity, items)
    best = min((_fill(problem, order) for order in ways), key=len)
    growth = 1.0
    for servers in range(len(best), max(1, problem.lower_bound) - 1, -1):
        together = growth * (servers / len(best))  # what this many servers could bear, in terms of the traffic
        if problem.out_of_time or together < WORTH_TRYING:
            break
        levelled, factor = _level(problem, [*ways, dealt(ways[0], servers)], servers)
        if levelled is None and servers < len(best):
            break
        best, growth = levelled or best, max(factor, 1.0)
    if capacity.is_foreseen and growth * (len(best) - 1) / len(best) >= WORTH_SQUEEZING:
        best = squeeze(problem, best, max(1, problem.lower_bound))
    return [_assignment(capacity, shares) for shares in best]


def orders(capacity: Capacity, items: list[Share]) -> list[list[Share]]:
    """Orders to fill servers in: by falling rank, then hot ones together, or hot and cold ones in turn."""
    falling = sorted(items, key=lambda item: (-capacity.adapter(item.name).rank, -capacity.load_of(item), item.name))
    return [falling, alternating(falling, lambda item: capacity.adapter(item.name).rank)]


def alternating(falling: list[Share], rank: Callable[[Share], int]) -> list[Share]:
    """Within each rank: the largest, the smallest, the second largest, ..."""
    groups: dict[int, list[Share]] = {}
    for item in falling:
        groups.setdefault(rank(item), []).append(item)
    dealt: list[Share] = []
    for group in groups.values():
        half = (len(group) + 1) // 2
        for high, low in zip(group[:half], [*reversed(group[half:]), None], strict=False):
            dealt += [high] if low is None else [high, low]
    return dealt


def dealt(falling: list[Share], servers: int) -> list[Share]:
    """The items dealt out to this many servers, there and back again, one hand after the other."""
    hands: list[list[Share]] = [[] for _ in range(servers)]
    for i, item in enumerate(falling):
        turn, place = divmod(i, servers)
        hands[servers - 1 - place if turn % 2 else place].append(item)
    return [item for hand in hands for item in hand]


def _fill(problem: Problem, order: list[Share]) -> list[dict[str, float]]:
    """Next-fit with the longest prefix that is served, and back-fill."""
    capacity, rest, filled = problem.capacity, list(order), list[dict[str, float]]()
    load = 0.7
    while rest:
        problem.progress("packing", len(order) - len(rest), len(order))
        count = _longest_prefix(capacity, rest, _count_up_to(capacity, rest, load))
        if count == 0:
            rest = [*halves(problem, rest[0]), *rest[1:]]
            continue
        taken, rest = rest[:count], rest[count:]
        if rest and capacity.load_of(rest[0]) > BACKFILL_ABOVE:
            taken, rest = _backfill(capacity, taken, rest)
        load = sum(capacity.load_of(item) for item in taken)
        filled.append(merged(taken))
    problem.progress("packing", len(order), len(order))
    return filled


def _count_up_to(capacity: Capacity, items: list[Share], load: float) -> int:
    """How many of the first items come to this load; at least one."""
    count, total = 0, 0.0
    while count < len(items) and (total := total + capacity.load_of(items[count])) <= load:
        count += 1
    return max(1, count)


def _longest_prefix(capacity: Capacity, items: list[Share], guess: int) -> int:
    """The most first items that one server serves, by galloping from a guess and then bisection.

    Beyond a hundred items the last one per cent is not searched for.
    """
    good, bad = 0, len(items) + 1
    stride = max(1, guess // 16)
    count = min(guess, len(items))
    while bad - good > max(1, good // 100):
        if capacity.fit(merged(items[:count])):
            good = count
            count = min(count + stride, len(items)) if bad > len(items) else (good + bad) // 2
        else:
            bad = count
            count = max(count - stride, 1) if good == 0 else (good + bad) // 2
        stride *= 2
    return good


def _backfill(capacity: Capacity, taken: list[Share], rest: list[Share]) -> tuple[list[Share], list[Share]]:
    """Fill the hole with the smallest remaining items of no higher rank."""
    rank = max(capacity.adapter(item.name).rank for item in taken)
    small = sorted(
        (item for item in rest if capacity.adapter(item.name).rank <= rank),
        key=lambda item: (capacity.load_of(item), item.name),
    )
    good, bad = 0, len(small) + 1
    while bad - good > 1:
        count = (good + bad) // 2
        if capacity.fit(merged([*taken, *small[:count]])):
            good = count
        else:
            bad = count
    chosen = small[:good]
    left = list(rest)
    for item in chosen:
        left.remove(item)
    return [*taken, *chosen], left


def _level(problem: Problem, ways: list[list[Share]], servers: int) -> tuple[list[dict[str, float]] | None, float]:
    """The order, cut into this many stretches, whose servers are farthest from their limits, and their growth factor.

    None if no order is served by this many servers.
    """
    best: list[dict[str, float]] | None = None
    most = 1.0
    if servers > LEVELLED:
        return best, most
    for number, order in enumerate(ways):
        problem.progress(f"levelling over {servers} GPUs", number, len(ways))
        hands, growth = _levelled(problem.capacity, order, servers)
        if growth >= most:
            best, most = hands, growth
        if problem.out_of_time:
            break
    problem.progress(f"levelling over {servers} GPUs", len(ways), len(ways))
    return best, most


def _levelled(capacity: Capacity, order: list[Share], servers: int) -> tuple[list[dict[str, float]], float]:
    """Stretches equally far from their limits, and by which factor the traffic of all of them can grow.

    Cut first by best-case load; then, where what the twin allows differs from that, in proportion to it.
    """
    best: list[dict[str, float]] = []
    most, portions = 0.0, np.full(servers, 1.0 / servers)
    for _ in range(LEVELLINGS):
        hands = [merged(stretch) for stretch in _cut(capacity, order, portions)]
        factors = joblib.Parallel(n_jobs=-1, prefer="threads")(
            joblib.delayed(_growth)(capacity, hand) for hand in hands
        )
        if min(factors) > most:
            best, most = hands, min(factors)
        loads = np.array([capacity.load(hand) for hand in hands])
        limits = loads * np.array(factors)
        if not limits.all() or limits.sum() < loads.sum() or servers == 1:
            break
        portions = limits / limits.sum()
    return best, most


def _cut(capacity: Capacity, order: list[Share], portions: NDArray[np.float64]) -> list[list[Share]]:
    """Stretches of the order with these portions of the load."""
    ends = np.cumsum(portions) * sum(capacity.load_of(item) for item in order)
    stretches: list[list[Share]] = [[] for _ in portions]
    passed = 0.0
    for item in order:
        middle = passed + capacity.load_of(item) / 2
        stretches[min(len(portions) - 1, int(np.searchsorted(ends, middle)))].append(item)
        passed += capacity.load_of(item)
    return stretches


def _growth(capacity: Capacity, hand: dict[str, float]) -> float:
    """The factor by which this hand's traffic can grow, to about 4 %; below 1 if it is not served as it is."""
    if not hand:
        return 0.0
    low, high = (1.0, 4.0) if capacity.fit(hand) else (0.5, 1.0)
    while high / low > 1.04:
        middle = math.sqrt(low * high)
        if capacity.fit({name: share * middle for name, share in hand.items()}):
            low = middle
        else:
            high = middle
    return low


def _assignment(capacity: Capacity, shares: dict[str, float]) -> Assignment:
    best: Fit = capacity.best(shares)
    return Assignment(capacity.server(shares, best.max_loras), shares)
