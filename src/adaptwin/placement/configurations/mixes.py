"""Mixes: how much of each class of adapters one server serves, by predictions.

A mix is an array of shape (classes,): the share of each class that a server has. Its demand is the sum of the demands
of the classes, in these shares. A share of less than one part stands for a whole part, as parts are not divided.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.largest import largest_factor
from adaptwin.placement.capacity.server_demand import AdapterPart, ServerDemand
from adaptwin.placement.caution import FILL_LIKELIHOOD, MOST_LOAD
from adaptwin.placement.configurations.classes import LikeParts
from adaptwin.workload.demand.traffic import union_of

ClassMix = NDArray[np.float64]

PRECISION = 1.005  # of the largest multiple of a mix, as a ratio
LEAST_SHARE = 1e-3  # of the load of a full server, below which no multiple is searched for


class Mixes:
    """Predictions for servers with a mix of some classes, at `factor` times their traffic."""

    def __init__(self, capacity: Capacity, classes: Sequence[LikeParts], factor: float = 1.0) -> None:
        self._capacity, self._factor = capacity, factor
        self.classes = list(classes)
        self.loads = np.array([each.load for each in classes])
        self.ranks = np.array([each.demand.rank for each in classes])
        self._sizes = np.array([len(each.parts) for each in classes], dtype=np.float64)
        self._class_of = {part.name: index for index, each in enumerate(classes) for part in each.parts}
        self._parts_of = Counter(part.name for each in classes for part in each.parts)
        self._loras = np.array([each.demand.loras for each in classes], dtype=np.float64)
        self._traffic = np.array([each.demand.traffic for each in classes])

    def likelihood(self, mix: ClassMix) -> float:
        """Return the likelihood that a server with this mix is overloaded, with the best number of slots."""
        return self._capacity.guiding_likelihood(self.demand_of(mix), self._factor)

    def demand_of(self, mix: ClassMix) -> ServerDemand:
        """Return the demand of a server with this mix."""
        (used,) = np.nonzero(mix)
        held = np.maximum(mix[used] * self._sizes[used], 1.0) / self._sizes[used]
        classes = [self.classes[i].demand for i in used.tolist()]
        return ServerDemand(
            load=float(held @ self.loads[used]),
            rank=int(self.ranks[used].max()),
            loras=round(float(held @ self._loras[used])),
            slo_ttft=min(each.slo_ttft for each in classes),
            slo_itl=min(each.slo_itl for each in classes),
            host=float(sum(part * each.host for part, each in zip(held.tolist(), classes, strict=True))),
            traffic=union_of(self._traffic[used], held),
        )

    def mix_of(self, shares: Mapping[str, float]) -> ClassMix:
        """Return the mix of a server with these adapters: the share of each class by load or by number, the lower one.

        A server with the hottest adapters of a class has more of its load than of its adapters, and other servers with
        as much of the load would have more adapters.
        """
        by_load: ClassMix = np.zeros(len(self.classes))
        by_number: ClassMix = np.zeros(len(self.classes))
        for part in map(AdapterPart._make, shares.items()):
            if (index := self._class_of.get(part.name)) is not None:
                by_load[index] += self._capacity.load_of(part) / self.loads[index]
                by_number[index] += part.share * self._parts_of[part.name] / self._sizes[index]
        return np.minimum(by_load, by_number)

    def largest(self, direction: ClassMix) -> ClassMix | None:
        """Return the largest multiple of a mix that a server likely serves; None if it is next to nothing.

        No multiple has more than all of a class.
        """
        load = float(direction @ self.loads)
        most = min(MOST_LOAD / self._factor / load, 1.0 / float(direction.max()))
        if self.likelihood(most * direction) <= FILL_LIKELIHOOD:
            return most * direction
        least = min(most, LEAST_SHARE / load)
        found = largest_factor(
            least, most, PRECISION, lambda times: self.likelihood(times * direction) <= FILL_LIKELIHOOD
        ).low
        return found * direction if found > least else None
