"""max-throughput: serve as many offered tokens as possible on a given number of GPUs; adapters may be starved."""

from collections.abc import Sequence
from functools import partial

from adaptwin.errors import Infeasible
from adaptwin.placement.capacity.answer import Answer
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.server_demand import total
from adaptwin.placement.objectives.objective import Asked, Placed, placed, servers_given
from adaptwin.placement.packing.items import Bin, shares_of
from adaptwin.placement.packing.moves import improved, starting_points
from adaptwin.placement.packing.problem import Assignment, Problem
from adaptwin.plan.options import PlanOptions

IMPROVED_FOR_THROUGHPUT = 2  # number of placements, the most promising ones, that are improved by moves


def max_throughput(problems: Sequence[Problem], asked: Asked) -> list[Placed]:
    """Return the placement that serves the most tokens by the twin, of several placements improved by moves.

    Raises `Infeasible` if some adapter fits on no GPU, or if no placement satisfies the constraints.
    """
    found: list[tuple[tuple[float, float], list[Placed]]] = []
    for problem in problems:
        if not servers_given(problem, asked.options):
            continue
        for bins in _throughput_candidates(problem, asked.options):
            chosen = [_most_served(problem.capacity, shares_of(contents)) for contents in bins]
            served = sum(answer.throughput for _, answer in chosen)
            not_ok = sum(not answer.ok for _, answer in chosen)
            found.append(((-served, not_ok), placed(problem, [assignment for assignment, _ in chosen])))
    if not found:
        raise Infeasible(f"gpus: {asked.options.gpus}: no placement on this number satisfies the constraints")
    return min(found, key=lambda way: way[0])[1]


def _throughput_candidates(problem: Problem, options: PlanOptions) -> list[list[Bin]]:
    score = partial(_minus_throughput, problem.capacity)
    found = starting_points(problem, servers_given(problem, options))
    best = sorted(found, key=lambda bins: sum(map(score, bins)))[:IMPROVED_FOR_THROUGHPUT]
    return [improved(problem, bins, score, sum).bins for bins in best] + best


def _minus_throughput(capacity: Capacity, contents: Bin) -> float:
    """Minus the tokens/s that a server serves, by the surrogate where it knows such servers, else by the twin."""
    predictions = capacity.known_predictions(total([item.demand for item in contents]))
    if predictions:
        return -max(prediction.throughput for prediction in predictions)
    return -_most_served(capacity, shares_of(contents))[1].throughput


def _most_served(capacity: Capacity, shares: dict[str, float]) -> tuple[Assignment, Answer]:
    """Choose the number of slots that serves the most; among numbers that serve all adapters, the lowest latency."""
    asked = [(slots, capacity.ask(shares, slots)) for slots in capacity.slot_choices(shares)]
    slots, answer = min(asked, key=lambda choice: (not choice[1].ok, _lack(choice[1]), choice[1].e2e_mean))
    return Assignment(capacity.server(shares, slots), shares), answer


def _lack(answer: Answer) -> float:
    """Sort key: 0 if all adapters are served, else minus the tokens/s."""
    return 0.0 if answer.ok else -answer.throughput
