"""Servers whose room is known: with them packing is bin packing, and can be worked out by hand.

An adapter's name says rank and load: ``8:0.25a`` has rank 8 and takes a quarter of a server.
"""

from collections.abc import Iterable
from math import inf
from typing import NamedTuple

import numpy as np

from adaptwin import Server, Workload
from adaptwin.placement.capacity.capacity import AdapterPart, Answer, SlotChoice
from adaptwin.placement.capacity.server_demand import ServerDemand
from adaptwin.placement.packing.items import Bin, Item
from adaptwin.placement.packing.problem import Problem
from adaptwin.progress import silent
from adaptwin.surrogate.surrogate import Prediction
from adaptwin.workload.demand.traffic import SUMS

JUST = 1e-9


class Named(NamedTuple):
    """What a name says."""

    rank: int
    rate: float


class Rooms(NamedTuple):
    """Servers with room for a load, and for less or more by the surrogate's guess; each has one slot."""

    room: float = 1.0
    guessed: float | None = None  # the room of which the surrogate is sure; that of the servers, if not given
    workload: Workload = Workload(adapters=())
    is_foreseen: bool = True

    class profile(NamedTuple):  # noqa: N801
        """Its name, for messages."""

        name = "room"

    @property
    def names(self):
        return [adapter.name for adapter in self.workload.adapters]

    def adapter(self, name):
        rank, load = name.split(":")
        return Named(int(rank), float(load.rstrip("abcdefghijklmnopqrstuvwxyz")))

    def path(self, name):
        return name

    def require_startable(self, name):
        """Every rank is."""

    def load_of(self, item):
        return self.adapter(item.name).rate * item.share

    def load(self, shares):
        return sum(self.load_of(AdapterPart(*item)) for item in shares.items())

    def fewest_slots(self, _):
        return 1

    def server(self, _, max_loras):
        return Server(max_loras=max_loras)

    def sums_of(self, shares: Iterable[tuple[str, float]]) -> ServerDemand:
        items = [AdapterPart(*share) for share in shares]
        ranks = [self.adapter(item.name).rank for item in items]
        return ServerDemand(sum(map(self.load_of, items)), max(ranks), len(ranks), inf, inf, np.zeros(SUMS))

    def likelihood_of_overload(self, sums, factor=1.0):
        room = self.room if self.guessed is None else self.guessed
        return float(sums.load * factor > room + JUST)

    def ask(self, shares, _, factor=1.0):
        ok = self.load(shares) * factor <= self.room + JUST
        return Answer(True, "ok" if ok else "starved", 1.0, self.load(shares), 1.0, 1.0, 1.0, 1.0)

    def fit(self, shares, factor=1.0):
        answer = self.ask(shares, 1, factor)
        return SlotChoice(1, answer) if answer.ok else None

    def best(self, shares):
        found = self.fit(shares)
        assert found, shares
        return found

    def expected(self, sums, _=1.0):
        """Fuller servers are slower: a token takes as long as the load says."""
        return Prediction(sums.load, 1.0, sums.load, *[sums.load] * 4, 1.0, 0.0, 0.0, inside=True)


def problem_of(capacity=None, lower_bound=1, deadline=inf, **fields):
    """A problem on servers whose room is known; it is one, if not given."""
    return Problem(capacity or Rooms(), lower_bound, silent, deadline, **fields)


def item(*names, share=1.0, foes=()) -> Item:
    """One adapter, or several that stay together."""
    shares = tuple(AdapterPart(name, share) for name in names)
    return Item(shares, Rooms().sums_of(shares), frozenset(foes))


def items(*names) -> Bin:
    """One item for each name."""
    return [item(name) for name in names]


def names(hand: Iterable[Item]) -> list[str]:
    """Of all adapters of a hand."""
    return [share.name for each in hand for share in each.shares]


def loads(hands: Iterable[Bin]) -> list[float]:
    """Of each hand."""
    return [round(sum(each.load for each in hand), 6) for hand in hands]


def everybody(hands: Iterable[Bin]) -> list[str]:
    """Names of all adapters of all hands, sorted."""
    return sorted(name for hand in hands for name in names(hand))
