"""Kinds: servers of a large fleet that are alike, and how adapters are taken off the fullest servers of a kind."""

import math
from collections.abc import Sequence

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.packing.problem import Assignment, shares_of_parts

Parts = list[AdapterPart]


def load_of_parts(capacity: Capacity, parts: Parts) -> float:
    """Return the share of a GPU's time that these parts take in the best case."""
    return sum(map(capacity.load_of, parts))


def up_to(capacity: Capacity, parts: Parts, most: float) -> tuple[Parts, Parts]:
    """Return the parts without so many that the load of the others is at most this, and those left out.

    At least one part is kept. Those left out are spread evenly over all parts, whose order is by class and load.
    """
    load = load_of_parts(capacity, parts)
    kept, left = parts, Parts()
    needed = math.ceil((load - most) / load * len(parts) - 1e-9) if load > most else 0  # if all had the same load
    count = min(needed, len(parts) - 1) - 1
    while load > most and len(kept) > 1:
        count += 1
        places = {int((k + 0.5) * len(parts) / count) for k in range(count)}
        kept = [part for place, part in enumerate(parts) if place not in places]
        left = [parts[place] for place in sorted(places)]
        load = load_of_parts(capacity, kept)
    return kept, left


def server_of_kind(capacity: Capacity, parts: Parts, max_loras: int, kind: int) -> Assignment:
    """Return a server with this number of slots, or one for each adapter where it has fewer."""
    shares = shares_of_parts(parts)
    return Assignment(capacity.server(shares, min(max_loras, capacity.all_slot_choices(shares)[-1])), shares, kind)


def relieved_kind(capacity: Capacity, servers: Sequence[Assignment], share: float) -> tuple[list[Assignment], Parts]:
    """Return servers of one kind with at most the highest load without this share, and the parts that are left."""
    most = (1.0 - share) * max(capacity.load(server.shares) for server in servers)
    kept, left = list[Assignment](), Parts()
    for server in servers:
        own, over = up_to(capacity, [AdapterPart(*item) for item in server.shares.items()], most)
        left += over
        assert server.kind is not None
        kept.append(server_of_kind(capacity, own, server.server.max_loras, server.kind) if over else server)
    return kept, left
