"""squeeze: places for everybody on the servers there are, or on few more, by ruin and recreate.

Adapters without a place are put where they most likely still fit. Those for which there is no room make some: a few
servers are ruined - part of their adapters taken off - and everybody without a place is placed again, the largest
first. That goes on until all have a place or the budget is spent. What likely fits is the surrogate's guess; at the end
the twin has the last word on every server that changed.
"""

import heapq
import math
from dataclasses import dataclass, replace

import joblib
import numpy as np

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.server_demand import ServerDemand, total
from adaptwin.placement.capacity.slots import choose_slots
from adaptwin.placement.caution import MOST_LOAD, RECREATE_LIKELIHOOD, RELIEF_ROUNDS, RELIEF_SHARE, RUIN_SHARE
from adaptwin.placement.packing.fill import fill
from adaptwin.placement.packing.items import Bin, Item, gets_on, halved, likelihood_of_overload, load_of, shares_of
from adaptwin.placement.packing.orders import falling
from adaptwin.placement.packing.problem import Problem
from adaptwin.workload.drawing.random_streams import stream_seed

TRIES_PER_ADAPTER, MORE_TRIES = 1, 400  # adapters tried on servers, at most
CANDIDATES = 6  # servers that an adapter is tried on
CLOSED_LIKELIHOOD = -1.0  # as a probability: a server that the twin refused takes nobody in any more
FRUITLESS_RUINS = 25  # ruins in a row that find nobody a place, before it is given up


def squeeze(problem: Problem, hands: list[Bin], factor: float = 1.0) -> list[Bin] | None:
    """The same on one server fewer, each of them served, as each of those given is; None if that is not found."""
    given_up = int(np.argmin([load_of(hand) for hand in hands]))
    search = _Search(problem, [hand for index, hand in enumerate(hands) if index != given_up], hands[given_up], factor)
    return search.result([])


def mend(problem: Problem, hands: list[Bin], factor: float = 1.0) -> list[Bin] | None:
    """No more servers, after moves off those that the twin refuses; None if that is not found.

    With a factor, each serves its adapters with so many times their traffic.
    """
    bad = refused(problem.capacity, hands, factor)
    return _Search(problem, hands, [], factor).result(bad) if bad else hands


def relieve(problem: Problem, hands: list[Bin], failing: list[int], share: float = RELIEF_SHARE) -> list[Bin]:
    """Take a share of the load off the failing servers, onto the others or, without room there, onto new ones.

    New ones are at the end; the hands that nothing was taken from or put on are those given.
    """
    return _Search(problem, hands, []).result(failing, share, may_open=True) or hands


def refused(capacity: Capacity, hands: list[Bin], factor: float = 1.0) -> list[int]:
    """Which servers the twin, or the surrogate where it is sure, does not find served.

    Neither at `factor` times the traffic nor as it is: more traffic is other traffic, too, and may be served by chance.
    """
    calls = (joblib.delayed(_serves)(capacity, shares_of(hand), factor) for hand in hands)
    served = joblib.Parallel(n_jobs=-1, prefer="threads")(calls)
    return [index for index, fine in enumerate(served) if hands[index] and not fine]


def _serves(capacity: Capacity, shares: dict[str, float], factor: float) -> bool:
    return all(choose_slots(capacity, shares, times) for times in {1.0, factor})


@dataclass(slots=True)
class _Place:
    """A server of the search."""

    hand: Bin
    sums: ServerDemand | None  # of the hand; None when it is empty
    most: float = RECREATE_LIKELIHOOD  # probability that somebody suffers, up to which it is filled
    too_large: float = math.inf  # load of the smallest item that it has refused as it is

    @property
    def load(self) -> float:
        return self.sums.load if self.sums else 0.0

    def with_(self, item: Item) -> ServerDemand:
        """The sums of the hand and one more item."""
        return self.sums.plus(item.demand) if self.sums else item.demand


_State = tuple[list[_Place], Bin]  # places, and who has none


class _Search:
    """Places, and items that have none yet. Owns both; only `_recreate`, `_ruin` and `_open` change them."""

    def __init__(self, problem: Problem, hands: list[Bin], homeless: Bin, factor: float = 1.0) -> None:
        self._capacity, self._problem, self._factor = problem.capacity, problem, factor
        self._dice = np.random.default_rng(stream_seed(problem.capacity.workload.seed, "squeeze", str(len(hands))))
        self._places = [_place(hand) for hand in hands]
        self._homeless = list(homeless)
        self._tries = MORE_TRIES + TRIES_PER_ADAPTER * (sum(map(len, hands)) + len(homeless))

    @property
    def hands(self) -> list[Bin]:
        """What the servers have now."""
        return [place.hand for place in self._places]

    def result(self, failing: list[int], share: float = RELIEF_SHARE, *, may_open: bool = False) -> list[Bin] | None:
        """Hands that the twin approves of, after load was taken off those that fail; None if none are found.

        If a share of the load was not enough, twice as much is taken off next.

        Where servers may be opened, some are found: as a last resort, whoever does not get a place gets a new server.
        """
        for _ in range(RELIEF_ROUNDS):
            for index in failing:
                self._ruin(index, share)
                self._places[index].most = CLOSED_LIKELIHOOD
            if failing:
                others = [place for index, place in enumerate(self._places) if index not in failing]
                self._recreate(others, emptiest_first=True)
            if self._homeless and not (may_open or self._place_all()):
                return None
            if self._homeless:
                self._open(fill(self._problem, falling(self._homeless)))
            failing, share = refused(self._capacity, self.hands, self._factor), min(RUIN_SHARE, 2.0 * share)
            if not failing:
                return self.hands
        if not may_open:
            return None
        self._divide(failing)
        return self.hands

    def _open(self, hands: list[Bin]) -> None:
        """New servers for those without a place."""
        self._places += [_place(hand) for hand in hands]
        self._homeless = []

    def _divide(self, failing: list[int]) -> None:
        """Halve servers until all are served."""
        while failing:
            for index in failing:
                order = falling(self._places[index].hand)
                order = order if len(order) > 1 else halved(self._problem, order[0])
                self._places[index] = _place(order[::2])
                self._open([order[1::2]])
            failing = refused(self._capacity, self.hands, self._factor)

    def _place_all(self) -> bool:
        """Find a place for everybody; False when the budget is spent, or nothing gets better, before."""
        best, kept, stuck = math.inf, self._state(), 0
        while True:
            self._recreate()
            if not self._homeless:
                return True
            left = load_of(self._homeless)
            stuck = 0 if left < best else stuck + 1
            if self._tries <= 0 or stuck > FRUITLESS_RUINS or self._problem.out_of_time:
                return False
            if left <= best:
                best, kept = left, self._state()
            else:
                self._places, self._homeless = _copy(kept)
            for index in self._dice.choice(len(self._places), size=min(2, len(self._places)), replace=False):
                self._ruin(int(index), RUIN_SHARE)

    def _state(self) -> _State:
        return _copy((self._places, self._homeless))

    def _ruin(self, index: int, share: float) -> None:
        """Take about this share of a server's load off: one item at least, and never the last one."""
        hand, taken = self._places[index].hand, 0.0
        target = share * self._places[index].load
        while len(hand) > 1 and taken < target:
            item = hand.pop(int(self._dice.integers(len(hand))))
            self._homeless.append(item)
            taken += item.load
        self._places[index] = replace(_place(hand), most=self._places[index].most)

    def _recreate(self, places: list[_Place] | None = None, *, emptiest_first: bool = False) -> None:
        """Put those without a place, the largest first, where they fit: on the fullest of all or these places."""
        left = []
        for item in falling(self._homeless):
            for place in _candidates(item, self._places if places is None else places, emptiest_first):
                self._tries -= 1
                both, sums = [*place.hand, item], place.with_(item)
                if likelihood_of_overload(self._capacity, both, sums, self._factor) <= place.most:
                    place.hand, place.sums = both, sums
                    break
                place.too_large = min(place.too_large, item.load)
            else:
                left.append(item)
        self._homeless = left


def _candidates(item: Item, places: list[_Place], emptiest_first: bool) -> list[_Place]:
    """Servers to try an item on: where it pads nobody's slots and is not padded, then by their load."""

    def preference(place: _Place) -> tuple[bool, int, float]:
        rank = place.sums.rank if place.sums else item.rank
        return rank < item.rank, rank - item.rank if item.rank else 0, place.load if emptiest_first else -place.load

    open_ = (
        place
        for place in places
        if place.load + item.load <= MOST_LOAD and item.load < place.too_large and gets_on(item, place.hand)
    )
    return heapq.nsmallest(CANDIDATES, open_, key=preference)


def _place(hand: Bin) -> _Place:
    return _Place(list(hand), total([item.demand for item in hand]) if hand else None)


def _copy(state: _State) -> _State:
    places, homeless = state
    return [replace(place, hand=list(place.hand)) for place in places], list(homeless)
