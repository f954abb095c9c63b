"""repair: move adapters off the servers that failed a verification."""

from collections.abc import Sequence

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.capacity.slots import best_or_most_served
from adaptwin.placement.packing.items import as_items, item_of, shares_of
from adaptwin.placement.packing.problem import Assignment, Problem
from adaptwin.placement.packing.ruin_and_recreate import relieve


def repair(
    problem: Problem, assignments: Sequence[Assignment], failing: Sequence[int], unplaced: Sequence[AdapterPart] = ()
) -> list[Assignment]:
    """Move some load off each failing server: to other servers while they still serve all adapters, else to new ones.

    Parts of adapters that are on no server yet get a place, too.

    The problem should demand more headroom than the verification did, so that the servers do not fail again.
    Assignments that do not change are returned as they are; new servers come last.
    """
    before = [as_items(problem, assignment.shares) for assignment in assignments]
    new = [item_of(problem, part, frozenset()) for part in unplaced]
    after = [shares_of(contents) for contents in relieve(problem, before, list(failing), unplaced=new)]
    known = [dict(assignment.shares) for assignment in assignments]
    return [
        assignments[index]
        if index < len(known) and index not in failing and shares == known[index]
        else _assignment(problem.capacity, shares)
        for index, shares in enumerate(after)
        if shares
    ]


def _assignment(capacity: Capacity, shares: dict[str, float]) -> Assignment:
    """Assign the best number of slots or, where no number sustains the raised traffic, the one that serves the most."""
    return Assignment(capacity.server(shares, best_or_most_served(capacity, shares)), shares)
