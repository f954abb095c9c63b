"""ServerDemand: the demand of a set of adapters on a server, in figures that combine cheaply when sets are joined."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from adaptwin.arrays import Array
from adaptwin.workload.demand.traffic import add_sums, cumulative_sums


class AdapterPart(NamedTuple):
    """An adapter, with all or a share of its traffic."""

    name: str
    share: float


class ServerDemand(NamedTuple):
    """The demand that adapters, or parts of them, together make on a server."""

    load: float  # lower bound on the share of a GPU's time
    rank: int  # the highest slot rank of the adapters
    loras: int  # adapters that need a slot
    slo_ttft: float  # seconds: the strictest objective; infinite where there is none
    slo_itl: float
    host: float  # bytes of the adapters in host memory
    traffic: Array  # raw sums, see `workload.demand.traffic`

    def plus(self, other: "ServerDemand") -> "ServerDemand":
        """Return the demand of both sets together."""
        return ServerDemand(
            self.load + other.load,
            max(self.rank, other.rank),
            self.loras + other.loras,
            min(self.slo_ttft, other.slo_ttft),
            min(self.slo_itl, other.slo_itl),
            self.host + other.host,
            add_sums(self.traffic, other.traffic),
        )


def total(sets: Sequence[ServerDemand]) -> ServerDemand:
    """Return the demand of all sets together; there must be at least one set."""
    return LeadingSets(sets).first(len(sets))


class LeadingSets:
    """The demands of the first set, the first two sets, and so on, of a sequence of sets."""

    def __init__(self, sets: Sequence[ServerDemand]) -> None:
        columns = list(zip(*sets, strict=True))
        self._loads = np.cumsum(columns[0])
        self._ranks, self._loras = np.maximum.accumulate(columns[1]), np.cumsum(columns[2])
        self._slo_ttft, self._slo_itl = np.minimum.accumulate(columns[3]), np.minimum.accumulate(columns[4])
        self._host = np.cumsum(columns[5])
        self._traffic = cumulative_sums(np.array(columns[6]))

    def first(self, count: int) -> ServerDemand:
        """Return the demand of the first `count` sets, at least one."""
        at = count - 1
        return ServerDemand(
            float(self._loads[at]),
            int(self._ranks[at]),
            int(self._loras[at]),
            float(self._slo_ttft[at]),
            float(self._slo_itl[at]),
            float(self._host[at]),
            self._traffic[at],
        )
