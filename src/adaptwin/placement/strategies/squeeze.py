"""squeeze: do with fewer servers, by ruin and recreate.

One server is given up and its adapters are put where they most likely still fit. Those for which there is no room make
some: a few servers are ruined - part of their adapters taken off - and everybody without a place is placed again, the
largest first. That goes on until all have a place or the budget is spent. What likely fits is the surrogate's guess; at
the end the twin has the last word on every server that changed.
"""

import math
from collections.abc import Iterable

import numpy as np

from adaptwin.placement.capacity import Share
from adaptwin.placement.problem import Problem
from adaptwin.workload.requests import stream_seed

TRIES_PER_ADAPTER, MORE_TRIES = 4, 400  # adapters tried on servers, at most, for one server fewer
RUINED = 0.4  # of a ruined server's load is taken off
LOOKED_AT = 6  # servers that an adapter is tried on
LIKELY = 0.3  # probability that somebody suffers, up to which servers are filled
MENDED = 3  # times that servers which the twin refuses are relieved

Hand = dict[str, float]
_State = tuple[list[Hand], list[float], list[bool], list[Share]]  # hands, their loads, who changed, who has no place


def squeeze(problem: Problem, hands: list[Hand], fewest: int) -> list[Hand]:
    """As few hands as can be found, from `fewest` on; each is served, as each of those given is."""
    best = hands
    while len(best) > fewest and not problem.out_of_time:
        problem.progress(f"squeezing into {len(best) - 1} GPUs", 0, 1)
        found = _one_fewer(problem, best)
        problem.progress(f"squeezing into {len(best) - 1} GPUs", 1, 1)
        if found is None:
            break
        best = found
    return best


def _one_fewer(problem: Problem, hands: list[Hand]) -> list[Hand] | None:
    """The same adapters on one server fewer; None if that is not found."""
    search = _Search(problem, hands)
    for _ in range(MENDED):
        if not search.place_all():
            return None
        refused = search.refused()
        if not refused:
            return [hand for hand in search.hands if hand]
        for index in refused:
            search.ruin(index, tight=True)
    return None


class _Search:
    """Hands, and adapters that have no place yet. Owns both; only `_put` and `_take` change them."""

    def __init__(self, problem: Problem, hands: list[Hand]) -> None:
        self.capacity, self._problem = problem.capacity, problem
        self._dice = np.random.default_rng(stream_seed(problem.capacity.workload.seed, "squeeze", str(len(hands))))
        loads = [self.capacity.load(hand) for hand in hands]
        given_up = int(np.argmin(loads))
        self.hands = [dict(hand) for index, hand in enumerate(hands) if index != given_up]
        self._loads = [load for index, load in enumerate(loads) if index != given_up]
        self._most = [LIKELY] * len(self.hands)
        self._changed = [False] * len(self.hands)
        self._homeless = list(_items(hands[given_up]))
        self._tries = MORE_TRIES + TRIES_PER_ADAPTER * sum(map(len, hands))

    def place_all(self) -> bool:
        """Find a place for everybody; False when the budget is spent before."""
        best, kept = math.inf, self._state()
        while self._tries > 0:
            self._recreate()
            if not self._homeless:
                return True
            left = sum(self.capacity.load_of(item) for item in self._homeless)
            if left <= best:
                best, kept = left, self._state()
            else:
                self.hands, self._loads, self._changed, self._homeless = _copy(kept)
            if self._problem.out_of_time:
                break
            for index in self._dice.choice(len(self.hands), size=min(2, len(self.hands)), replace=False):
                self.ruin(int(index))
        return False

    def _state(self) -> _State:
        return _copy((self.hands, self._loads, self._changed, self._homeless))

    def refused(self) -> list[int]:
        """Changed servers that the twin, or the surrogate where it is sure, does not find served."""
        changed = [index for index, hand in enumerate(self.hands) if hand and self._changed[index]]
        return [index for index in changed if not self.capacity.fit(self.hands[index])]

    def ruin(self, index: int, *, tight: bool = False) -> None:
        """Take part of a server's adapters off; with `tight`, it will be filled more carefully from now on."""
        names = list(self.hands[index])
        self._dice.shuffle(names)
        share = 0.1 if tight else RUINED
        target = (1.0 - share) * self._loads[index]
        for name in names:
            if self._loads[index] <= target:
                break
            self._take(index, name)
        if tight:
            self._most[index] *= 0.2

    def _recreate(self) -> None:
        """Put those without a place, the largest first, where they fit and fill best."""
        for item in sorted(self._homeless, key=lambda item: (-self.capacity.load_of(item), item.name)):
            for index in self._candidates(item):
                both = {**self.hands[index], item.name: self.hands[index].get(item.name, 0.0) + item.share}
                self._tries -= 1
                if self.capacity.likelihood_of_overload(both) <= self._most[index]:
                    self._put(index, item)
                    break

    def _candidates(self, item: Share) -> list[int]:
        """Servers to try an adapter on: where it pads nobody's slots and is not padded, the fullest first."""
        rank, load = self.capacity.adapter(item.name).rank, self.capacity.load_of(item)
        open_ = [i for i in range(len(self.hands)) if self._loads[i] + load <= 1.0]
        ranks = {i: max((self.capacity.adapter(name).rank for name in self.hands[i]), default=rank) for i in open_}
        open_.sort(key=lambda i: (ranks[i] < rank, ranks[i] - rank if rank else 0, -self._loads[i]))
        return open_[:LOOKED_AT]

    def _put(self, index: int, item: Share) -> None:
        self._homeless.remove(item)
        self.hands[index][item.name] = self.hands[index].get(item.name, 0.0) + item.share
        self._loads[index] += self.capacity.load_of(item)
        self._changed[index] = True

    def _take(self, index: int, name: str) -> None:
        item = Share(name, self.hands[index].pop(name))
        self._homeless.append(item)
        self._loads[index] -= self.capacity.load_of(item)
        self._changed[index] = True


def _copy(state: _State) -> _State:
    hands, loads, changed, homeless = state
    return [dict(hand) for hand in hands], list(loads), list(changed), list(homeless)


def _items(hand: Hand) -> Iterable[Share]:
    return (Share(name, share) for name, share in hand.items())
