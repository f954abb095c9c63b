"""min-latency: the lowest 99th percentile of ITL or TTFT on the worst server, on a given number of GPUs."""

from collections.abc import Sequence
from functools import partial

from adaptwin.errors import Infeasible
from adaptwin.placement.capacity.answer import Answer
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.latency_score import latency_score
from adaptwin.placement.objectives.objective import Asked, Placed, placed, servers_given
from adaptwin.placement.packing.items import Bin, items_of, shares_of
from adaptwin.placement.packing.moves import improved, starting_points
from adaptwin.placement.packing.predicted_latency import OVERLOAD_SECONDS, predicted_latency
from adaptwin.placement.packing.problem import Assignment, Problem
from adaptwin.placement.strategies.pack import packed
from adaptwin.plan.options import LatencyKind, PlanOptions

IMPROVED_FOR_LATENCY = 2  # number of placements, the most promising ones, that are improved by moves


def min_latency(problems: Sequence[Problem], asked: Asked) -> list[Placed]:
    """Return the placement with the lowest latency by the twin, of several improved by moves off the worst server.

    Raises `Infeasible` if no placement on this number of GPUs that serves all adapters is found.
    """
    found: list[tuple[float, list[Placed]]] = []
    for problem in problems:
        if not servers_given(problem, asked.options):
            continue
        for bins in _latency_candidates(problem, asked.options):
            answers = [
                _lowest_latency(problem.capacity, shares_of(contents), asked.options.latency) for contents in bins
            ]
            if all(answer for _, answer in answers):
                worst = max(latency_score(answer, asked.options.latency) for _, answer in answers if answer)
                found.append((worst, placed(problem, [assignment for assignment, _ in answers])))
    if not found:
        raise Infeasible(
            f"gpus: {asked.options.gpus} is too few to serve all adapters; the objective min-gpus finds how many do"
        )
    return min(found, key=lambda way: way[0])[1]


def _latency_candidates(problem: Problem, options: PlanOptions) -> list[list[Bin]]:
    """Return the placements on which to run the twin: the best starting points, with and without moves."""
    score = partial(_expected_latency, problem.capacity, options.latency)
    servers = servers_given(problem, options)
    found = starting_points(problem, servers)
    tight = packed(problem, partial(items_of, problem))
    if len(tight) == servers:
        found.append(tight)
    best = sorted(found, key=lambda bins: max(map(score, bins)))[:IMPROVED_FOR_LATENCY]
    return [improved(problem, bins, score, max).bins for bins in best] + best


def _expected_latency(capacity: Capacity, latency: LatencyKind, contents: Bin) -> float:
    """Latency of a server in seconds, by the surrogate where it knows such servers, else by the twin.

    An overloaded server gets a score above any latency.
    """
    predicted = predicted_latency(capacity, latency, contents)
    if predicted is not None:
        return predicted
    _, answer = _lowest_latency(capacity, shares_of(contents), latency)
    return latency_score(answer, latency) if answer else OVERLOAD_SECONDS


def _lowest_latency(
    capacity: Capacity, shares: dict[str, float], latency: LatencyKind
) -> tuple[Assignment, Answer | None]:
    """Choose the number of slots with the lowest latency; the twin's answer is None where no number serves."""
    asked = [(slots, capacity.ask(shares, slots)) for slots in capacity.slot_choices(shares)]
    good = [(slots, answer) for slots, answer in asked if answer.ok]
    if not good:
        return Assignment(capacity.server(shares, capacity.slot_choices(shares)[0]), shares), None
    slots, answer = min(good, key=lambda choice: (latency_score(choice[1], latency), choice[0]))
    return Assignment(capacity.server(shares, slots), shares), answer
