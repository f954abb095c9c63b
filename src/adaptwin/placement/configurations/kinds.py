"""Kinds: servers of a large fleet that are alike, and how adapters are taken off all servers of a kind."""

from collections.abc import Sequence

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.packing.problem import Assignment, shares_of_parts

Parts = list[AdapterPart]


def without_share(parts: Parts, share: float) -> tuple[Parts, Parts]:
    """Return the parts without this share of them, at least one, which is spread evenly over them; and that share."""
    count = max(1, round(share * len(parts)))
    places = {int((k + 0.5) * len(parts) / count) for k in range(count)}
    kept = [part for place, part in enumerate(parts) if place not in places]
    return kept, [parts[place] for place in sorted(places)]


def server_of_kind(capacity: Capacity, parts: Parts, max_loras: int, kind: int) -> Assignment:
    """Return a server with this number of slots, or one for each adapter where it has fewer."""
    shares = shares_of_parts(parts)
    return Assignment(capacity.server(shares, min(max_loras, capacity.all_slot_choices(shares)[-1])), shares, kind)


def relieved(capacity: Capacity, servers: Sequence[Assignment], share: float) -> tuple[list[Assignment], Parts]:
    """Return servers of one kind without this share of their adapters, and the parts that are left.

    Servers with one part only are given up.
    """
    kept, left = list[Assignment](), Parts()
    for server in servers:
        own, over = without_share([AdapterPart(*item) for item in server.shares.items()], share)
        left += over
        if own:
            assert server.kind is not None
            kept.append(server_of_kind(capacity, own, server.server.max_loras, server.kind))
    return kept, left
