"""Servers whose room is known: with them packing is bin packing, and can be worked out by contents.

An adapter's name says rank and load: ``8:0.25a`` has rank 8 and takes a quarter of a server.
"""

from collections.abc import Iterable
from math import inf
from typing import NamedTuple

import numpy as np

from adaptwin import Server, Workload
from adaptwin.placement.capacity.answer import Answer
from adaptwin.placement.capacity.server_demand import AdapterPart, ServerDemand
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
    """Servers with room for a load, and for less or more by the surrogate's prediction; each has one slot."""

    room: float = 1.0
    predicted: float | None = None  # the room that the surrogate predicts; that of the servers, if not given
    workload: Workload = Workload(adapters=())
    surrogate_knows: bool = True

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

    def demand_of(self, shares: Iterable[tuple[str, float]]) -> ServerDemand:
        items = [AdapterPart(*share) for share in shares]
        ranks = [self.adapter(item.name).rank for item in items]
        return ServerDemand(sum(map(self.load_of, items)), max(ranks, default=0), len(ranks), inf, inf, np.zeros(SUMS))

    def likelihood_of_overload(self, demand, factor=1.0):
        room = self.room if self.predicted is None else self.predicted
        return float(demand.load * factor > room + JUST)

    def ask(self, shares, _, factor=1.0):
        ok = self.load(shares) * factor <= self.room + JUST
        return Answer(True, "ok" if ok else "starved", 1.0, self.load(shares), 1.0, 1.0, 1.0, 1.0)

    def slot_choices(self, _):
        return [1]

    def predict(self, *_):
        """Nothing: the twin is asked."""
        return []

    def sure_answers(self, *_):
        return []

    def known_predictions(self, demand, _=1.0):
        """Fuller servers are slower: a token takes as long as the load says."""
        load = demand.load
        return [Prediction(load, 1.0, load, *[load] * 4, 1.0, 0.0, 0.0, inside=True)]


def problem_of(capacity=None, lower_bound=1, deadline=inf, **fields):
    """A problem on servers whose room is known; it is one, if not given."""
    return Problem(capacity or Rooms(), lower_bound, silent, deadline, **fields)


def item(*names, share=1.0, apart_from=()) -> Item:
    """One adapter, or several that stay together."""
    shares = tuple(AdapterPart(name, share) for name in names)
    return Item(shares, Rooms().demand_of(shares), frozenset(apart_from))


def items(*names) -> Bin:
    """One item for each name."""
    return [item(name) for name in names]


def names(contents: Iterable[Item]) -> list[str]:
    """Of all adapters of a contents."""
    return [share.name for each in contents for share in each.shares]


def loads(bins: Iterable[Bin]) -> list[float]:
    """Of each contents."""
    return [round(sum(each.load for each in contents), 6) for contents in bins]


def everybody(bins: Iterable[Bin]) -> list[str]:
    """Names of all adapters of all bins, sorted."""
    return sorted(name for contents in bins for name in names(contents))
