"""Matching: name the servers of a new placement after the running servers with which they share most adapters."""

from collections import Counter
from collections.abc import Mapping, Sequence

from adaptwin.placement.packing.problem import Assignment
from adaptwin.plan.routes import Route


def matched_names(assignments: Sequence[Assignment], routes: Mapping[str, Route]) -> list[str | None]:
    """Return, for each server of a placement, the running server that becomes it; None where none is left to match.

    A pair has at least one adapter in common. Pairs are formed greedily, those with most adapters in common first.
    `routes` has the running servers of each adapter.
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
