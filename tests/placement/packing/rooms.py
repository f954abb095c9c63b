"""Servers of known capacity: on these, packing is bin packing and can be worked out by hand.

The name of an adapter gives its rank and load: ``8:0.25a`` has rank 8 and takes a quarter of a server.
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
from adaptwin.plan.latency_limits import NO_LATENCY_LIMITS, LatencyLimits
from adaptwin.progress import silent
from adaptwin.surrogate.surrogate import Prediction
from adaptwin.workload.demand.traffic import SUMS

JUST = 1e-9


class Named(NamedTuple):
    """Rank and load of an adapter, as in its name."""

    rank: int
    rate: float
    slo_ttft: float | None = None
    slo_itl: float | None = None


class Rooms(NamedTuple):
    """Servers that serve a known load, which the surrogate may predict wrongly; each has one slot."""

    room: float = 1.0
    predicted: float | None = None  # the load that the surrogate predicts to be served; None: `room`
    workload: Workload = Workload(adapters=())
    surrogate_knows: bool = True
    latency_limits: LatencyLimits = NO_LATENCY_LIMITS

    class profile(NamedTuple):  # noqa: N801
        """The name of the profile, for messages."""

        name = "room"

    @property
    def names(self):
        return [adapter.name for adapter in self.workload.adapters]

    def adapter(self, name):
        rank, load = name.split(":")
        return Named(int(rank), float(load.rstrip("abcdefghijklmnopqrstuvwxyz")))

    def rate(self, name):
        return self.adapter(name).rate

    def tokens(self, name):
        return self.adapter(name).rate

    def path(self, name):
        return name

    def require_startable(self, name):
        """Accept every rank."""

    def load_of(self, item):
        return self.adapter(item.name).rate * item.share

    def load(self, shares):
        return sum(self.load_of(AdapterPart(*item)) for item in shares.items())

    def slot_rank(self, name):
        return self.adapter(name).rank

    def guiding_likelihood(self, demand, factor=1.0):
        return self.likelihood_of_overload(demand, factor)

    def fewest_slots(self, _):
        return 1

    def server(self, _, max_loras):
        return Server(max_loras=max_loras)

    def demand_of(self, shares: Iterable[tuple[str, float]]) -> ServerDemand:
        items = [AdapterPart(*share) for share in shares]
        ranks = [self.adapter(item.name).rank for item in items]
        return ServerDemand(
            sum(map(self.load_of, items)), max(ranks, default=0), len(ranks), inf, inf, 0.0, np.zeros(SUMS)
        )

    def likelihood_of_overload(self, demand, factor=1.0):
        room = self.room if self.predicted is None else self.predicted
        return float(demand.load * factor > room + JUST)

    def ask(self, shares, _, factor=1.0):
        ok = self.load(shares) * factor <= self.room + JUST
        return Answer(True, "ok" if ok else "starved", 1.0, self.load(shares), 1.0, 1.0, 1.0, 1.0)

    def slot_choices(self, _):
        return [1]

    def predict(self, *_):
        """Return no prediction, so the twin is run."""
        return []

    def sure_answers(self, *_):
        return []

    def known_predictions(self, demand, _=1.0):
        """Predict a time per token that equals the load, so fuller servers are slower."""
        load = demand.load
        return [Prediction(load, 1.0, load, *[load] * 4, 1.0, 0.0, 0.0, inside=True)]


def problem_of(capacity=None, lower_bound=1, deadline=inf, **fields):
    """Make a problem on servers of known capacity, by default 1."""
    return Problem(capacity or Rooms(), lower_bound, silent, deadline, **fields)


def item(*names, share=1.0, apart_from=()) -> Item:
    """Make an item of one adapter, or of several that stay together."""
    shares = tuple(AdapterPart(name, share) for name in names)
    return Item(shares, Rooms().demand_of(shares), frozenset(apart_from))


def items(*names) -> Bin:
    """Make one item for each name."""
    return [item(name) for name in names]


def names(contents: Iterable[Item]) -> list[str]:
    """Return the names of all adapters on one server."""
    return [share.name for each in contents for share in each.shares]


def loads(bins: Iterable[Bin]) -> list[float]:
    """Return the load of each server."""
    return [round(sum(each.load for each in contents), 6) for contents in bins]


def placed_names(bins: Iterable[Bin]) -> list[str]:
    """Return the names of all adapters on all servers, sorted."""
    return sorted(name for contents in bins for name in names(contents))
