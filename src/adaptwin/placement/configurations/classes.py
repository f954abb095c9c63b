"""Classes: the parts of adapters of a fleet, in classes of like ones.

The parts of a class have slots of the same rank, the same objectives and, roughly, the same load. What matters to a
server is then how much of each class it has, and not which parts.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.server_demand import AdapterPart, ServerDemand

MOST_CLASSES = 12  # more are not combined: the linear program tries all pairs of them


class LikeParts(NamedTuple):
    """A class: parts that are alike, those with the largest load first, and what they demand together."""

    parts: list[AdapterPart]
    loads: NDArray[np.float64]  # (parts,): of each
    demand: ServerDemand

    @property
    def load(self) -> float:
        """The load of all parts together."""
        return self.demand.load

    def spread(self, count: int, offset: float) -> list[int]:
        """Return the places of this many parts, spread evenly over the class, by an offset from 0 to 1."""
        places: list[int] = ((np.arange(count) + offset) * len(self.parts) / max(1, count)).astype(np.int64).tolist()
        return places


def classes_of(capacity: Capacity, parts: Sequence[AdapterPart]) -> list[LikeParts]:
    """Return the classes of these parts: by rank and objectives, each cut into pieces with about the same load.

    Parts without traffic are in none.
    """
    parts = [part for part in parts if capacity.load_of(part) > 0.0]
    kinds: dict[tuple[int, float | None, float | None], list[int]] = {}
    for index, part in enumerate(parts):
        adapter = capacity.adapter(part.name)
        kinds.setdefault((capacity.slot_rank(part.name), adapter.slo_ttft, adapter.slo_itl), []).append(index)
    loads = np.array([capacity.load_of(part) for part in parts])
    pieces = max(1, MOST_CLASSES // len(kinds)) if len(kinds) > 4 else 3
    return [
        like_parts(capacity, [parts[i] for i in piece.tolist()])
        for _, members in sorted(kinds.items(), key=lambda kind: (-kind[0][0], str(kind[0])))
        for piece in _pieces(np.array(members), loads, pieces)
    ]


def like_parts(capacity: Capacity, parts: list[AdapterPart]) -> LikeParts:
    """Return parts as a class."""
    return LikeParts(parts, np.array([capacity.load_of(part) for part in parts]), capacity.demand_of(parts))


def _pieces(members: NDArray[np.int64], loads: NDArray[np.float64], pieces: int) -> list[NDArray[np.int64]]:
    """Sort members by falling load, and cut them into at most this many pieces of about the same load."""
    falling = members[np.argsort(-loads[members], kind="stable")]
    before = np.cumsum(loads[falling])
    cuts = np.searchsorted(before, before[-1] * np.arange(1, pieces) / pieces)
    bounds = np.unique([0, *cuts.tolist(), len(falling)])
    return [falling[first:last] for first, last in pairwise(bounds.tolist())]
