"""pack: fill servers to the brim, rank by rank, then level them out. The default strategy.

Slots are preallocated at the highest rank on a server, so ranks are placed in falling order and a server mixes two
ranks only where one of them ends. Within a rank two orders are tried - hot adapters together, and hot ones dealt
between cold ones - because either can win: hot adapters together need few slots, mixed ones share them better.
Each server takes the longest prefix of the order that the twin finds served, found by bisection, and then as many of
the smallest remaining adapters as its hole holds. The order with the fewest servers wins; its adapters are then spread
evenly over that many servers, if the twin finds all of those served.
"""

import math
from collections.abc import Callable

import joblib
import numpy as np
from numpy.typing import NDArray

from adaptwin.placement.capacity import Capacity, Fit, Share
from adaptwin.placement.problem import Assignment, Problem, items_to_place, merged, unservable

BACKFILL_ABOVE = 0.05  # a hole is worth filling when the item that did not fit would take this share of a GPU
LEVELLINGS = 3  # rounds of levelling
LEVELLED = 32  # more servers than this are left as they were filled


def pack(problem: Problem) -> list[Assignment]:
    """Place all adapters on as few servers as the twin allows; see the module."""
    items = items_to_place(problem)
    best: list[dict[str, float]] | None = None
    for number, order in enumerate(orders(problem.capacity, items)):
        placed = _fill(problem, order, f"packing, order {number + 1} of 2")
        levelled = _level(problem, order, len(placed))
        if best is None or len(placed) < len(best):
            best = levelled or placed
        if len(best) <= problem.lower_bound or problem.out_of_time:
            break
    assert best is not None
    return [_assignment(problem.capacity, shares) for shares in best]


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


def _fill(problem: Problem, order: list[Share], stage: str) -> list[dict[str, float]]:
    """Next-fit with the longest prefix that is served, and back-fill."""
    capacity, rest, filled = problem.capacity, list(order), list[dict[str, float]]()
    load = 0.7
    while rest:
        problem.progress(stage, len(order) - len(rest), len(order))
        count = _longest_prefix(capacity, rest, _count_up_to(capacity, rest, load))
        if count == 0:
            raise unservable(problem, rest[0])
        taken, rest = rest[:count], rest[count:]
        if rest and capacity.load_of(rest[0]) > BACKFILL_ABOVE:
            taken, rest = _backfill(capacity, taken, rest)
        load = sum(capacity.load_of(item) for item in taken)
        filled.append(merged(taken))
    problem.progress(stage, len(order), len(order))
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


def _level(problem: Problem, order: list[Share], servers: int) -> list[dict[str, float]] | None:
    """The order cut into this many stretches that are equally far from their limits; None if one is not served.

    Cut first by best-case load; then, where what the twin allows differs from that, in proportion to it.
    """
    capacity = problem.capacity
    if servers < 2 or servers > LEVELLED:
        return None
    best: list[dict[str, float]] | None = None
    most, portions = 1.0, np.full(servers, 1.0 / servers)
    for number in range(LEVELLINGS):
        problem.progress("levelling", number, LEVELLINGS)
        stretches = _cut(capacity, order, portions)
        hands = [merged(stretch) for stretch in stretches]
        factors = joblib.Parallel(n_jobs=-1, prefer="threads")(
            joblib.delayed(_growth)(capacity, hand) for hand in hands
        )
        if min(factors) >= most:
            best, most = hands, min(factors)
        limits = np.array([factor * _load(capacity, hand) for factor, hand in zip(factors, hands, strict=True)])
        if not limits.all():
            break
        portions = limits / limits.sum()
    return best


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


def _load(capacity: Capacity, hand: dict[str, float]) -> float:
    return sum(capacity.load_of(Share(*item)) for item in hand.items())


def _growth(capacity: Capacity, hand: dict[str, float]) -> float:
    """The factor by which this hand's traffic can grow, to about 4 %; below 1 if it is not served as it is."""
    low, high = 0.5, 4.0
    while high / low > 1.04:
        middle = math.sqrt(low * high)
        if hand and capacity.fit({name: share * middle for name, share in hand.items()}):
            low = middle
        else:
            high = middle
    return low if hand else 0.0


def _assignment(capacity: Capacity, shares: dict[str, float]) -> Assignment:
    best: Fit = capacity.best(shares)
    return Assignment(capacity.server(shares, best.max_loras), shares)
