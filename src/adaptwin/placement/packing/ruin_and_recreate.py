"""Ruin and recreate: place all items on the given servers, or on a few more.

Unplaced items go to servers where they likely still fit. Where no server has the capacity, a few servers are ruined -
part of their items is taken off - and all unplaced items are placed again, the largest first. This is repeated until
every item has a place or the budget is spent. The surrogate predicts what likely fits; at the end the twin checks every
server that changed. (Schrimpf and others, "Record breaking optimization results using the ruin and recreate principle",
2000.)
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import joblib
import numpy as np

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.server_demand import ServerDemand, total
from adaptwin.placement.capacity.slots import choose_slots
from adaptwin.placement.caution import MOST_LOAD, RECREATE_LIKELIHOOD, RELIEF_ROUNDS, RELIEF_SHARE, RUIN_SHARE
from adaptwin.placement.packing.fill import fill
from adaptwin.placement.packing.items import Bin, Item, halved, likelihood_of_overload, load_of, may_join, shares_of
from adaptwin.placement.packing.orders import by_falling_load
from adaptwin.placement.packing.problem import Problem
from adaptwin.workload.drawing.seeds import stream_seed

TRIES_PER_ADAPTER, MORE_TRIES = 1, 400  # tries of an item on a server, at most: per item, and on top
ASKED_TRIES = 20  # as how many tries one counts where the twin must be run
CANDIDATES = 6  # servers on which an item is tried
CLOSED_LIKELIHOOD = -1.0  # limit of a server that the twin refused: below any likelihood, so it takes no more items
FRUITLESS_RUINS = 25  # ruins in a row that place no more load, after which the search is given up


def without_emptiest(problem: Problem, bins: list[Bin], factor: float = 1.0) -> list[Bin] | None:
    """Place the items on one server fewer, so that all are served; None if no such placement is found.

    The items must be served on the given servers, too. The server with the least load is given up.
    """
    given_up = int(np.argmin([load_of(contents) for contents in bins]))
    search = _RuinAndRecreate(
        problem, [contents for index, contents in enumerate(bins) if index != given_up], bins[given_up], factor
    )
    return search.result([])


def repaired_bins(problem: Problem, bins: list[Bin], factor: float = 1.0) -> list[Bin] | None:
    """Move items off the servers that the twin refuses until all servers serve; None if that does not succeed.

    The number of servers does not grow. Each server sustains `factor` times its traffic.
    """
    bad = refused(problem.capacity, bins, factor)
    return _RuinAndRecreate(problem, bins, [], factor).result(bad) if bad else bins


def relieve(
    problem: Problem,
    bins: list[Bin],
    failing: list[int],
    share: float = RELIEF_SHARE,
    unplaced: Sequence[Item] = (),
) -> list[Bin]:
    """Move a share of the load off the failing servers, to the others or, where none has the capacity, to new ones.

    Items that are on no server are placed, too. New servers come last. Bins that neither give nor take an item keep
    their contents.
    """
    return _RuinAndRecreate(problem, bins, unplaced).result(failing, share, may_open=True) or bins


def refused(capacity: Capacity, bins: list[Bin], factor: float = 1.0) -> list[int]:
    """Return the indices of servers that do not serve, by the surrogate where it is confident, else by the twin.

    A server must serve both its traffic as it is and `factor` times its traffic: a factor also changes the arrivals, so
    that more traffic may be served by chance where less is not.
    """
    calls = (joblib.delayed(_is_served)(capacity, shares_of(contents), factor) for contents in bins)
    served = joblib.Parallel(n_jobs=-1, require="sharedmem")(calls)
    return [index for index, fine in enumerate(served) if bins[index] and not fine]


def _is_served(capacity: Capacity, shares: dict[str, float], factor: float) -> bool:
    return all(choose_slots(capacity, shares, times) for times in {1.0, factor})


@dataclass(slots=True)
class _Place:
    """A server during the search."""

    contents: Bin
    demand: ServerDemand | None  # of the contents; None when the server is empty
    most: float = RECREATE_LIKELIHOOD  # likelihood of overload up to which it is filled
    too_large: float = math.inf  # load of the smallest item that it has refused as it is

    @property
    def load(self) -> float:
        return self.demand.load if self.demand else 0.0

    def demand_with(self, item: Item) -> ServerDemand:
        """The demand of the contents and one more item."""
        return self.demand.plus(item.demand) if self.demand else item.demand


_State = tuple[list[_Place], Bin]  # places, and unplaced items


class _RuinAndRecreate:
    """A search: places, and unplaced items. It owns both."""

    def __init__(self, problem: Problem, bins: list[Bin], unplaced: Sequence[Item], factor: float = 1.0) -> None:
        self._capacity, self._problem, self._factor = problem.capacity, problem, factor
        self._random = np.random.default_rng(stream_seed(problem.capacity.workload.seed, "squeeze", str(len(bins))))
        self._places = [_place(contents) for contents in bins]
        self._unplaced = list(unplaced)
        self._tries = MORE_TRIES + TRIES_PER_ADAPTER * (sum(map(len, bins)) + len(unplaced))

    @property
    def bins(self) -> list[Bin]:
        """The current items of each server."""
        return [place.contents for place in self._places]

    def result(self, failing: list[int], share: float = RELIEF_SHARE, *, may_open: bool = False) -> list[Bin] | None:
        """Move load off the failing servers and return bins that the twin confirms; None if none are found.

        The share of the load that is moved off servers which still fail doubles from round to round.

        With `may_open`, unplaced items get new servers, and servers that still fail in the end are divided, so that
        bins are always found; `Infeasible` is raised if an item that is not served alone cannot be split.
        """
        for _ in range(RELIEF_ROUNDS):
            for index in failing:
                self._ruin(index, share)
                self._places[index].most = CLOSED_LIKELIHOOD
            if failing or may_open:
                others = [place for index, place in enumerate(self._places) if index not in failing]
                self._recreate(others, emptiest_first=True)
            if self._unplaced and not (may_open or self._place_all()):
                return None
            if self._unplaced:
                self._open(fill(self._problem, by_falling_load(self._unplaced)))
            failing, share = refused(self._capacity, self.bins, self._factor), min(RUIN_SHARE, 2.0 * share)
            if not failing:
                return self.bins
        if not may_open:
            return None
        self._divide(failing)
        return self.bins

    def _open(self, bins: list[Bin]) -> None:
        """Add servers with these bins, which hold all items that were unplaced."""
        self._places += [_place(contents) for contents in bins]
        self._unplaced = []

    def _divide(self, failing: list[int]) -> None:
        """Halve the failing servers until all servers serve."""
        while failing:
            for index in failing:
                order = by_falling_load(self._places[index].contents)
                order = order if len(order) > 1 else halved(self._problem, order[0])
                self._places[index] = _place(order[::2])
                self._open([order[1::2]])
            failing = refused(self._capacity, self.bins, self._factor)

    def _place_all(self) -> bool:
        """Find a place for every item; False if tries or time run out, or the search stops improving, before that."""
        best, kept, stuck = math.inf, self._state(), 0
        while True:
            self._recreate()
            if not self._unplaced:
                return True
            left = load_of(self._unplaced)
            stuck = 0 if left < best else stuck + 1
            if self._tries <= 0 or stuck > FRUITLESS_RUINS or self._problem.out_of_time:
                return False
            if left <= best:
                best, kept = left, self._state()
            else:
                self._places, self._unplaced = _copy(kept)
            for index in self._random.choice(len(self._places), size=min(2, len(self._places)), replace=False):
                self._ruin(int(index), RUIN_SHARE)

    def _state(self) -> _State:
        return _copy((self._places, self._unplaced))

    def _ruin(self, index: int, share: float) -> None:
        """Take about this share of its load off a server: at least one item, but never the last one."""
        contents, taken = self._places[index].contents, 0.0
        target = share * self._places[index].load
        while len(contents) > 1 and taken < target:
            item = contents.pop(int(self._random.integers(len(contents))))
            self._unplaced.append(item)
            taken += item.load
        self._places[index] = replace(_place(contents), most=self._places[index].most)

    def _recreate(self, places: list[_Place] | None = None, *, emptiest_first: bool = False) -> None:
        """Place the unplaced items where they fit, the largest first, on these or all places, the fullest first."""
        left = []
        for item in by_falling_load(self._unplaced):
            for place in _candidates(item, self._places if places is None else places, emptiest_first):
                self._tries -= 1 if self._capacity.surrogate_knows else ASKED_TRIES
                both, demand = [*place.contents, item], place.demand_with(item)
                if likelihood_of_overload(self._capacity, both, demand, self._factor) <= place.most:
                    place.contents, place.demand = both, demand
                    break
                place.too_large = min(place.too_large, item.load)
            else:
                left.append(item)
        self._unplaced = left


def _candidates(item: Item, places: list[_Place], emptiest_first: bool) -> list[_Place]:
    """Return places to try for an item: first where it raises no rank, then where it is padded least, then by load."""

    def preference(place: _Place) -> tuple[bool, int, float]:
        rank = place.demand.rank if place.demand else item.rank
        return rank < item.rank, rank - item.rank if item.rank else 0, place.load if emptiest_first else -place.load

    open_ = (
        place
        for place in places
        if place.load + item.load <= MOST_LOAD and item.load < place.too_large and may_join(item, place.contents)
    )
    return heapq.nsmallest(CANDIDATES, open_, key=preference)


def _place(contents: Bin) -> _Place:
    return _Place(list(contents), total([item.demand for item in contents]) if contents else None)


def _copy(state: _State) -> _State:
    places, unplaced = state
    return [replace(place, contents=list(place.contents)) for place in places], list(unplaced)
