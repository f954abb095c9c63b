"""UnplacedItems: items that have no server yet, in an order and by size."""

from collections.abc import Iterator

from adaptwin.placement.packing.items import Bin, Item, may_join


class UnplacedItems:
    """Items that have no server yet, in order and by size. Each is taken once."""

    def __init__(self, order: list[Item]) -> None:
        self._order = order
        self._by_size = sorted(range(len(order)), key=lambda i: (order[i].load, order[i].name))
        self._size_place = {place: at for at, place in enumerate(self._by_size)}
        self._free = [True] * len(order)
        self._place = {id(item): place for place, item in enumerate(order)}
        self._first = self._smallest = self.taken = 0

    def __len__(self) -> int:
        """Number of items, including those that are taken."""
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
        """Return the items that are not taken, in order."""
        return [item for item, free in zip(self._order, self._free, strict=True) if free]

    def next_ones(self, room: float) -> Iterator[Item]:
        """Yield the first items that may join one another and whose loads sum to at most `room`; at least one."""
        chosen: list[Item] = []
        load, first = 0.0, self.first
        for place in range(self._first, len(self._order)):
            item = self._order[place]
            if not self._free[place] or not may_join(item, chosen):
                continue
            load += item.load
            if load > room and item is not first:
                return
            chosen.append(item)
            yield item

    def smallest_ones(self, contents: Bin, room: float) -> Iterator[Item]:
        """Yield the smallest items of no higher rank that may join `contents` and each other, up to the load `room`."""
        while self._smallest < len(self._order) and not self._free[self._by_size[self._smallest]]:
            self._smallest += 1
        rank, chosen = max(item.rank for item in contents), list(contents)
        for place in self._by_size[self._smallest :]:
            item = self._order[place]
            if not self._free[place] or item.rank > rank or not may_join(item, chosen):
                continue
            room -= item.load
            if room < 0:
                return
            chosen.append(item)
            yield item

    def take(self, items: list[Item]) -> None:
        """Mark these items as taken."""
        for item in items:
            self._free[self._place[id(item)]] = False
        self.taken += len(items)

    def put_back(self, items: list[Item]) -> None:
        """Mark these items as not taken, after all."""
        for item in items:
            place = self._place[id(item)]
            self._free[place] = True
            self._first = min(self._first, place)
            self._smallest = min(self._smallest, self._size_place[place])
        self.taken -= len(items)
