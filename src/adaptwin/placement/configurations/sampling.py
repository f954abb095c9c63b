"""Sampling: servers that stand for all servers of a configuration, on which the twin is run."""

from collections.abc import Sequence

import numpy as np

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.largest import largest_near
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.capacity.slots import choose_slots
from adaptwin.placement.configurations.mixes import ClassMix, Mixes
from adaptwin.placement.packing.problem import shares_of_parts

LEAST_SIZE, MOST_SIZE = 0.8, 1.2  # of a configuration by the twin, relative to its size by predictions
SIZE_PRECISION = 0.01
SIZE_STEP = 0.015  # by which it is lowered where another server does not hold
OFFSETS = (0.5, 0.2, 0.8)  # of the servers that stand for a configuration


def sample_server(mixes: Mixes, mix: ClassMix, offset: float) -> dict[str, float]:
    """Return a server with about this mix: parts spread evenly over each class, other ones for each offset.

    What whole parts of one class have too much or too little is made up for by the next class.
    """
    parts, missing = list[AdapterPart](), 0.0
    for index in np.flatnonzero(mix).tolist():
        alike = mixes.classes[index]
        missing += min(1.0, float(mix[index])) * alike.load
        count = min(len(alike.parts), max(0, round(missing / alike.load * len(alike.parts))))
        places = alike.spread(count, offset)
        parts += [alike.parts[place] for place in places]
        missing -= float(alike.loads[places].sum())
    return shares_of_parts(parts)


def confirmed_mix(
    capacity: Capacity,
    mixes: Mixes,
    mix: ClassMix,
    factors: Sequence[float] = (1.0,),
    offsets: Sequence[float] = OFFSETS[:1],
) -> ClassMix:
    """Return about the largest multiple of a mix that the twin confirms, at each of these factors on the traffic.

    It is searched for near the mix itself on the server with the first offset, and lowered until those with the others
    hold, too. It is the least multiple that is tried if not even that is confirmed.
    """

    def holds(size: float, offset: float) -> bool:
        shares = sample_server(mixes, size * mix, offset)
        return all(choose_slots(capacity, shares, factor) is not None for factor in factors)

    first, *others = offsets
    size = largest_near(1.0, LEAST_SIZE, MOST_SIZE, SIZE_PRECISION, lambda size: holds(size, first)).low
    for offset in others:
        while size > LEAST_SIZE and not holds(size, offset):
            size -= SIZE_STEP
    held = np.mean([capacity.load(sample_server(mixes, size * mix, offset)) for offset in offsets])
    return float(held) / float(mix @ mixes.loads) * mix if held else mix
