"""fill: server by server takes the longest stretch of an order that is likely served, and its hole is filled."""

from collections.abc import Callable, Iterator

from adaptwin.placement.capacity import MOST_LOAD, Capacity
from adaptwin.placement.problem import Problem
from adaptwin.placement.strategies.items import Hand, Item, gets_on, halved, likelihood_of_overload, load_of, shares_of
from adaptwin.placement.sums import Prefixes

LIKELY = 0.5  # probability that somebody suffers, up to which a server is filled
BACKFILL_ABOVE = 0.05  # a hole is worth filling when the item that did not fit would take this share of a GPU
STRIDE = 1.5  # times the load of the server before, up to which a stretch is looked at first
FIRST_GUESS = 0.5  # of a GPU's best-case load, where the search for the first server's stretch starts


def fill(problem: Problem, order: list[Item], factor: float = 1.0) -> list[Hand]:
    """Hands that are likely served with `factor` times their traffic, next-fit in this order, with back-fill.

    An item that no server likely serves at this factor is alone, or in halves if the twin says that not even its own
    traffic is served.
    """
    capacity, queue, hands = problem.capacity, _Queue(order), list[Hand]()
    load = FIRST_GUESS
    while queue:
        problem.progress("packing", queue.taken, len(queue))
        for room in (min(MOST_LOAD / factor, STRIDE * load), MOST_LOAD / factor):
            stretch = list(queue.next_ones(room))
            count = longest_prefix(len(stretch), _count_up_to(stretch, load), _holding(capacity, [], stretch, factor))
            if count < len(stretch):
                break
        if count == 0:
            if not capacity.fit(shares_of(stretch[:1])):
                queue = _Queue([*halved(problem, stretch[0]), *queue.rest()[1:]])
                continue
            count = 1
        hand = stretch[:count]
        queue.take(hand)
        load = load_of(hand)
        if queue and queue.first.load > BACKFILL_ABOVE:
            small = list(queue.smallest_ones(hand, room=MOST_LOAD / factor - load))
            more = small[: longest_prefix(len(small), len(small) // 2, _holding(capacity, hand, small, factor))]
            queue.take(more)
            hand = hand + more
        hands.append(hand)
    problem.progress("packing", len(queue), len(queue))
    return hands


def _holding(capacity: Capacity, hand: Hand, more: list[Item], factor: float) -> Callable[[int], bool]:
    """Whether a hand with the first so many others is likely served."""
    if not more:
        return lambda _: True
    prefixes = Prefixes([item.sums for item in [*hand, *more]])

    def holds(count: int) -> bool:
        items = [*hand, *more[:count]]
        return likelihood_of_overload(capacity, items, prefixes.first(len(items)), factor) <= LIKELY

    return holds


def longest_prefix(most: int, guess: int, holds: Callable[[int], bool]) -> int:
    """The highest number up to `most` that holds, if all below it do, by galloping from a guess and then bisection.

    Beyond a hundred the last one per cent is not searched for.
    """
    good, bad = 0, most + 1
    stride = max(1, guess // 16)
    count = min(max(1, guess), most)
    while bad - good > max(1, good // 100):
        if holds(count):
            good = count
            count = min(count + stride, most) if bad > most else (good + bad) // 2
        else:
            bad = count
            count = max(count - stride, 1) if good == 0 else (good + bad) // 2
        stride *= 2
    return good


def _count_up_to(items: list[Item], load: float) -> int:
    """How many of the first items come to this load; at least one."""
    count, total = 0, 0.0
    while count < len(items) and (total := total + items[count].load) <= load:
        count += 1
    return max(1, count)


class _Queue:
    """Items that have no server yet, in order and by size. Each is taken once."""

    def __init__(self, order: list[Item]) -> None:
        self._order = order
        self._by_size = sorted(range(len(order)), key=lambda i: (order[i].load, order[i].name))
        self._free = [True] * len(order)
        self._place = {id(item): place for place, item in enumerate(order)}
        self._first = self._smallest = self.taken = 0

    def __len__(self) -> int:
        """How many items there are in all."""
        return len(self._order)

    def __bool__(self) -> bool:
        return self.taken < len(self._order)

    @property
    def first(self) -> Item:
        """The first item that is not taken."""
        while not self._free[self._first]:
            self._first += 1
        return self._order[self._first]

    def rest(self) -> list[Item]:
        """Those that are not taken, in order."""
        return [item for item, free in zip(self._order, self._free, strict=True) if free]

    def next_ones(self, room: float) -> Iterator[Item]:
        """The first items that get on with one another and together take at most this much; one in any case."""
        chosen: list[Item] = []
        load, first = 0.0, self.first
        for place in range(self._first, len(self._order)):
            item = self._order[place]
            if not self._free[place] or not gets_on(item, chosen):
                continue
            load += item.load
            if load > room and item is not first:
                return
            chosen.append(item)
            yield item

    def smallest_ones(self, hand: Hand, room: float) -> Iterator[Item]:
        """The smallest items of no higher rank that get on with the hand and one another, up to this load."""
        while self._smallest < len(self._order) and not self._free[self._by_size[self._smallest]]:
            self._smallest += 1
        rank, chosen = max(item.rank for item in hand), list(hand)
        for place in self._by_size[self._smallest :]:
            item = self._order[place]
            if not self._free[place] or item.rank > rank or not gets_on(item, chosen):
                continue
            room -= item.load
            if room < 0:
                return
            chosen.append(item)
            yield item

    def take(self, items: list[Item]) -> None:
        """These are placed."""
        for item in items:
            self._free[self._place[id(item)]] = False
        self.taken += len(items)
