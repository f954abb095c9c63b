"""Mixes: servers of several GPU types that likely serve all adapters at a low price.

This is bin packing with bins of several sizes and prices, where an item's size depends on the bin. The items of an
order are placed server by server: each GPU type offers to take the longest stretch that it likely serves, and the type
that serves the most for its price gets the next server. Alternatively, some servers of one GPU type come first, filled
with the items that suit it best, and the other GPU types take the rest. The cheapest mix is improved by removing a few
of its servers and placing their items again, in a randomly drawn order.

To compare servers, an item is worth the price of the part of a server that it fills, on the GPU type where that part is
cheapest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.placement.capacity.server_demand import total
from adaptwin.placement.capacity.slots import choose_slots
from adaptwin.placement.caution import FILL_LIKELIHOOD, GPU_MIX_FACTOR
from adaptwin.placement.objectives.gpu_mix.gpu_types import GpuType
from adaptwin.placement.packing.fill import fill_one
from adaptwin.placement.packing.items import Bin, likelihood_of_overload, load_of, shares_of
from adaptwin.placement.packing.orders import alternating
from adaptwin.placement.packing.unplaced import UnplacedItems
from adaptwin.workload.drawing.seeds import stream_seed

FULL_LOAD = 0.5  # best-case load, as a share of a GPU's time, that a full server has at least
COUNT_STEPS = 4  # steps in which the number of servers of one GPU type is varied, from none to all
SERVERS_TAKEN = (2, 3, 4)  # numbers of servers that are removed from a mix at a time
MIX_ROUNDS, MIX_ROUNDS_ASKED = 40, 8  # rounds of improvement by predictions, and where the twin must be run
RATIO_DIGITS = 1  # digits of price ratios by which items are sorted; few, as servers are better filled rank by rank


class MixedServer(NamedTuple):
    """A server of a mix: its GPU type, and the numbers of its items."""

    gpu_type: GpuType
    numbers: list[int]

    @property
    def contents(self) -> Bin:
        """The items of the server."""
        return self.gpu_type.contents(self.numbers)


GpuMix = list[MixedServer]
Order = list[int]  # of the numbers of items


def price(mix: GpuMix) -> float:
    """Return the price per hour of a mix."""
    return sum(mixed.gpu_type.price for mixed in mix)


def mixes(gpu_types: Sequence[GpuType]) -> list[GpuMix]:
    """Return mixes that likely serve all adapters, or almost: the surrogate is pessimistic. Empty if none is found."""
    search, tight = _Mixing(gpu_types, 1.0), _Mixing(gpu_types, GPU_MIX_FACTOR)
    found = [*search.made(), *tight.server_by_server()]
    if not found:
        return []
    cheapest = min(found, key=price)
    return [search.improved(cheapest), tight.improved(cheapest), *found]


class _Mixing:
    """Ways to make mixes of GPU types, with the prices and orders of the items."""

    def __init__(self, gpu_types: Sequence[GpuType], factor: float) -> None:
        self._gpu_types, self._factor = gpu_types, factor
        self._random = np.random.default_rng(stream_seed(gpu_types[0].capacity.workload.seed, "mixes", str(factor)))
        self._prices = self._price_of_each()
        self._worth = self._prices.min(axis=0)
        self._orders = self._all_orders()

    def _price_of_each(self) -> NDArray[np.float64]:
        """Price of the part of a server that each item fills, of shape (GPU types, items); infinite if not served."""
        prices = []
        for gpu_type in self._gpu_types:
            loads = np.array([item.load if item else np.inf for item in gpu_type.items])
            servers, _ = self._server_by_server([gpu_type], _falling(gpu_type, range(len(gpu_type.items))), loads)
            prices.append(gpu_type.price * loads / max([FULL_LOAD, *(load_of(mixed.contents) for mixed in servers)]))
        return np.array(prices)

    def _all_orders(self) -> list[Order]:
        """Return orders: hot and cold in turn, by falling rank, by rising rank, by suitability for each GPU type."""
        on_each = zip(*(gpu_type.items for gpu_type in self._gpu_types), strict=True)
        any_kind = [next(item for item in items if item) for items in on_each]
        falling = sorted(range(len(any_kind)), key=lambda n: (-any_kind[n].rank, -any_kind[n].load, n))
        orders = [alternating(falling, lambda n: any_kind[n].rank), falling, falling[::-1]]
        for index in range(len(self._gpu_types)):
            others = np.delete(self._prices, index, axis=0).min(axis=0)
            ratio = np.round(self._prices[index] / np.maximum(others, 1e-12), RATIO_DIGITS)
            orders.append(sorted(falling, key=lambda n: ratio[n]))
        return orders

    def made(self) -> Iterator[GpuMix]:
        """Yield the mixes of all orders, made in all ways."""
        yield from self.server_by_server()
        _, falling, rising, *suiting = self._orders
        for gpu_type, suits in zip(self._gpu_types, suiting, strict=True):
            for order in (falling, rising, suits):
                yield from self._some_of_one(gpu_type, order)

    def server_by_server(self) -> Iterator[GpuMix]:
        """Yield the mixes of all orders where every server is of the GPU type that serves the most for its price."""
        for order in self._orders:
            yield from self._whole(self._server_by_server(self._gpu_types, order, self._worth))

    def _some_of_one(self, gpu_type: GpuType, order: Order) -> Iterator[GpuMix]:
        """Yield mixes with servers of one GPU type for the first items of an order, and other types for the rest."""
        own, _ = self._server_by_server([gpu_type], order, self._worth)
        others = [other for other in self._gpu_types if other is not gpu_type]
        for count in sorted({round(step * len(own) / COUNT_STEPS) for step in range(COUNT_STEPS + 1)}):
            if self._gpu_types[0].problem.out_of_time:
                return
            taken = {number for mixed in own[:count] for number in mixed.numbers}
            servers, left = self._server_by_server(others, [n for n in order if n not in taken], self._worth)
            yield from self._whole(([*own[:count], *servers], left))

    def _whole(self, found: tuple[GpuMix, Order]) -> Iterator[GpuMix]:
        mix, left = found
        if not left:
            yield [self._downsized(mixed) for mixed in mix]

    def improved(self, mix: GpuMix) -> GpuMix:
        """Improve a mix, as far as time allows, by rounds that place the items of a few servers again."""
        problem = self._gpu_types[0].problem
        is_known = all(gpu_type.capacity.surrogate_knows for gpu_type in self._gpu_types)
        rounds = MIX_ROUNDS if is_known else MIX_ROUNDS_ASKED
        for number in range(rounds):
            problem.progress("mixing GPUs", number, rounds)
            if problem.out_of_time:
                break
            count = min(len(mix), int(self._random.choice(SERVERS_TAKEN)))
            away = set(self._random.choice(len(mix), size=count, replace=False).tolist())
            taken = [mix[i] for i in sorted(away)]
            anew = self._anew(taken)
            if anew and price(anew) <= price(taken):
                mix = [mixed for i, mixed in enumerate(mix) if i not in away] + anew
        problem.progress("mixing GPUs", rounds, rounds)
        return mix

    def _anew(self, taken: GpuMix) -> GpuMix | None:
        """Place the items of these servers again, in one of the orders; None if some items cannot be placed."""
        numbers = {number for mixed in taken for number in mixed.numbers}
        order = [n for n in self._orders[int(self._random.integers(len(self._orders)))] if n in numbers]
        first = self._gpu_types[int(self._random.integers(len(self._gpu_types)))]
        found = [*self._whole(self._server_by_server(self._gpu_types, order, self._worth))]
        own, _ = self._server_by_server([first], order, self._worth, most=int(self._random.integers(1, len(taken) + 1)))
        placed = {number for mixed in own for number in mixed.numbers}
        rest, left = self._server_by_server(self._gpu_types, [n for n in order if n not in placed], self._worth)
        found += self._whole(([*own, *rest], left))
        return min(found, key=price, default=None)

    def _server_by_server(
        self, gpu_types: Sequence[GpuType], order: Sequence[int], worth: NDArray[np.float64], most: int | None = None
    ) -> tuple[GpuMix, Order]:
        """Return servers of these GPU types for an order, `most` at most, and the items that are left."""
        waiting = [_Waiting(gpu_type, UnplacedItems(gpu_type.contents(order))) for gpu_type in gpu_types]
        mix: GpuMix = []
        left = dict.fromkeys(order)
        while left and len(mix) != most:
            offers = [
                MixedServer(at.gpu_type, at.gpu_type.numbers(contents))
                for at in waiting
                if (contents := self._offer(at))
            ]
            if not offers:
                break
            best = max(
                offers, key=lambda offer: (worth[offer.numbers].sum() / offer.gpu_type.price, -offer.gpu_type.price)
            )
            for at in waiting:
                at.queue.take(at.gpu_type.contents(best.numbers))
            for number in best.numbers:
                del left[number]
            mix.append(best)
        return mix, list(left)

    def _offer(self, at: "_Waiting") -> Bin:
        """Return what a server of a GPU type would take off its queue; an item that only the twin serves is alone."""
        if not at.queue:
            return []
        contents = fill_one(at.gpu_type.capacity, at.queue, at.load, self._factor)
        if contents:
            at.load = load_of(contents)
            at.queue.put_back(contents)
        elif choose_slots(at.gpu_type.capacity, shares_of([at.queue.first])):
            contents = [at.queue.first]
        return contents

    def _downsized(self, mixed: MixedServer) -> MixedServer:
        """Move the items of a server to the cheapest GPU type that likely serves them."""
        for gpu_type in sorted(self._gpu_types, key=lambda gpu_type: gpu_type.price):
            if gpu_type.price >= mixed.gpu_type.price:
                break
            contents = gpu_type.contents(mixed.numbers)
            if len(contents) == len(mixed.numbers) and self._likely(gpu_type, contents):
                return MixedServer(gpu_type, mixed.numbers)
        return mixed

    def _likely(self, gpu_type: GpuType, contents: Bin) -> bool:
        sums = total([item.demand for item in contents])
        return likelihood_of_overload(gpu_type.capacity, contents, sums, self._factor) <= FILL_LIKELIHOOD


@dataclass(slots=True)
class _Waiting:
    """The unplaced items on one GPU type, and the load of the last server that it offered."""

    gpu_type: GpuType
    queue: UnplacedItems
    load: float = FULL_LOAD


def _falling(gpu_type: GpuType, numbers: Sequence[int]) -> Order:
    """Return the numbers of the items that a GPU type serves, by falling rank and load."""
    items = [(n, item) for n in numbers if (item := gpu_type.items[n])]
    return [n for n, item in sorted(items, key=lambda pair: (-pair[1].rank, -pair[1].load, pair[0]))]
