"""A typical server: some of a fleet's adapters, drawn at random, that load a server well."""

from collections.abc import Sequence

import numpy as np

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.workload.drawing.seeds import stream_seed

TYPICAL_LOAD = 0.7  # of the typical server: a share of a GPU's time in the best case


def typical_server(capacity: Capacity, names: Sequence[str]) -> dict[str, float]:
    """Return adapters among `names` in random order up to the typical load; of the last one, the part that fits."""
    order = np.random.default_rng(stream_seed(capacity.workload.seed, "", "typical server")).permutation(names)
    shares: dict[str, float] = {}
    room = TYPICAL_LOAD
    for name in order.tolist():
        load = capacity.load_of(AdapterPart(name, 1.0))
        if load > room:
            shares[name] = room / load
            break
        shares[name], room = 1.0, room - load
    return shares
