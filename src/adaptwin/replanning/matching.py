"""Matching: the servers of a placement called after the running ones that they have most adapters in common with."""

from collections import Counter
from collections.abc import Mapping, Sequence

from adaptwin.placement.packing.problem import Assignment
from adaptwin.plan.routes import Route


def matched_names(assignments: Sequence[Assignment], routes: Mapping[str, Route]) -> list[str | None]:
    """For each server of a placement the running server that it becomes; None where they have no adapter in common.

    Pairs are made greedily, the most adapters in common first. `routes` has by adapter the running servers it is on.
    """
    common = Counter(
        (index, server)
        for index, assignment in enumerate(assignments)
        for name in assignment.shares
        for server in routes.get(name, ())
    )
    names: list[str | None] = [None] * len(assignments)
    for (index, server), _ in sorted(common.items(), key=lambda pair: (-pair[1], pair[0])):
        if names[index] is None and server not in names:
            names[index] = server
    return names
