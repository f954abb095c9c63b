"""Settling: the room that is left on a settled number of servers is spent on latency, by settings and by moves."""

from collections.abc import Sequence

import joblib

from adaptwin.placement.capacity.latency_score import latency_score
from adaptwin.placement.capacity.quick_settings import quick_settings
from adaptwin.placement.objectives.objective import Placed, placed
from adaptwin.placement.packing.lower_latency import with_lower_latency
from adaptwin.placement.packing.problem import Assignment
from adaptwin.plan.options import LatencyKind
from adaptwin.twin.server import Server

LEAST_LATENCY_GAIN = 0.05  # share by which moves must lower the latency of the worst server to be worth it


def with_quick_settings(servers: Sequence[Placed], given: Server, latency: LatencyKind) -> list[Placed]:
    """Return the servers with the settings that lower their latency; given settings stay."""
    calls = (
        joblib.delayed(quick_settings)(problem.capacity, assignment.shares, assignment.server, given, latency)
        for problem, assignment in servers
    )
    chosen = joblib.Parallel(n_jobs=-1, prefer="threads")(calls)
    return [
        Placed(problem, Assignment(server, assignment.shares))
        for (problem, assignment), server in zip(servers, chosen, strict=True)
    ]


def with_moves(
    servers: Sequence[Placed], quick: Sequence[Placed], given: Server, latency: LatencyKind
) -> list[Placed] | None:
    """Return as many servers with a lower latency on the worst of them; None if no moves achieve this.

    Args:
        servers: The servers as they were found, all of one profile, or nothing is moved.
        quick: The same servers with quick settings, which the moves must improve on.
        given: Settings that are not the planner's to choose.
        latency: The latency to lower.
    """
    problems = {id(each.problem): each.problem for each in servers}
    if len(problems) > 1:
        return None
    (problem,) = problems.values()
    moved = with_lower_latency(problem, [each.assignment for each in servers], latency)
    if moved is None:
        return None
    after = with_quick_settings(placed(problem, moved), given, latency)
    is_lower = worst_latency(after, latency) < (1.0 - LEAST_LATENCY_GAIN) * worst_latency(quick, latency)
    return after if is_lower else None


def worst_latency(servers: Sequence[Placed], latency: LatencyKind) -> float:
    """Return the highest latency score of a server."""
    return max(
        latency_score(problem.capacity.ask_on(assignment.shares, assignment.server), latency)
        for problem, assignment in servers
    )
