"""Lower latency on as many servers: adapters move off the server with the highest one, once the number is settled."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import joblib

from adaptwin.errors import Infeasible
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.slots import best_slots
from adaptwin.placement.caution import MOVES_FACTOR, OTHER_ARRIVALS_FACTOR
from adaptwin.placement.packing.balance import least_borne, nearly
from adaptwin.placement.packing.items import Bin, as_items, shares_of
from adaptwin.placement.packing.moves import improved
from adaptwin.placement.packing.predicted_latency import OVERLOAD_SECONDS, predicted_latency
from adaptwin.placement.packing.problem import Assignment, Problem
from adaptwin.plan.options import LatencyKind


def with_lower_latency(
    problem: Problem, assignments: Sequence[Assignment], latency: LatencyKind
) -> list[Assignment] | None:
    """Return as many servers, of which the one with the highest latency has less; None if none are found.

    Servers that gain or lose an adapter get their best number of slots. By the surrogate, all sustain nearly as much
    more traffic as before, or `MOVES_FACTOR`; by the twin, each sustains its own. Servers that are dedicated to one
    adapter stay as they are.
    """
    capacity, constraints = problem.capacity, problem.constraints
    moving = [at for at, each in enumerate(assignments) if each.server.max_loras]
    bins = [as_items(problem, assignments[at].shares) for at in moving]
    if len(bins) < 2 or constraints.pinned or not capacity.surrogate_knows:
        return None
    borne = least_borne(problem, bins, OTHER_ARRIVALS_FACTOR)
    factor = max(OTHER_ARRIVALS_FACTOR, min(nearly(borne), MOVES_FACTOR))
    after = improved(problem, bins, partial(_score, capacity, latency, factor), max).bins
    changed = [
        at for at, (one, other) in enumerate(zip(bins, after, strict=True)) if shares_of(one) != shares_of(other)
    ]
    if not changed:
        return None
    calls = (joblib.delayed(_assigned)(capacity, after[at]) for at in changed)
    anew = joblib.Parallel(n_jobs=-1, require="sharedmem")(calls)
    if None in anew:
        return None
    found = list(assignments)
    for at, assignment in zip(changed, anew, strict=True):
        found[moving[at]] = assignment
    return found


def _score(capacity: Capacity, latency: LatencyKind, factor: float, contents: Bin) -> float:
    predicted = predicted_latency(capacity, latency, contents, factor)
    return OVERLOAD_SECONDS if predicted is None else predicted


def _assigned(capacity: Capacity, contents: Bin) -> Assignment | None:
    shares = shares_of(contents)
    with suppress(Infeasible):
        return Assignment(capacity.server(shares, best_slots(capacity, shares).max_loras), shares)
    return None
