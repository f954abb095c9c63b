"""max-throughput: on a given number of GPUs, the most of the offered tokens served, even if some adapters starve."""

from collections.abc import Sequence
from functools import partial

from adaptwin.errors import Infeasible
from adaptwin.placement.capacity.answer import Answer
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.server_demand import total
from adaptwin.placement.objectives.objective import Asked, Placed, placed
from adaptwin.placement.packing.items import Bin, shares_of
from adaptwin.placement.packing.moves import improved, starting_points
from adaptwin.placement.packing.problem import Assignment, Problem
from adaptwin.plan.options import PlanOptions

IMPROVED_FOR_THROUGHPUT = 2  # placements, the most promising ones, that are improved by moves


def max_throughput(problems: Sequence[Problem], asked: Asked) -> list[Placed]:
    """The placement of which the twin serves most, after the best of several were improved by moves.

    Raises `Infeasible` where an adapter fits on no GPU at all.
    """
    found: list[tuple[tuple[float, float], list[Placed]]] = []
    for problem in problems:
        for bins in _throughput_candidates(problem, asked.options):
            chosen = [_most_served(problem.capacity, shares_of(contents)) for contents in bins]
            served = sum(answer.throughput for _, answer in chosen)
            suffering = sum(not answer.ok for _, answer in chosen)
            found.append(((-served, suffering), placed(problem, [assignment for assignment, _ in chosen])))
    if not found:
        raise Infeasible(f"the constraints leave no way to candidate the adapters out to {asked.options.gpus} GPUs")
    return min(found, key=lambda way: way[0])[1]


def _throughput_candidates(problem: Problem, options: PlanOptions) -> list[list[Bin]]:
    score = partial(_minus_throughput, problem.capacity)
    found = starting_points(problem, options.gpus or 1)
    best = sorted(found, key=lambda bins: sum(map(score, bins)))[:IMPROVED_FOR_THROUGHPUT]
    return [improved(problem, bins, score, sum).bins for bins in best] + best


def _minus_throughput(capacity: Capacity, contents: Bin) -> float:
    """Minus the tokens/s that a server is expected to serve, by the surrogate where it knows such servers."""
    predictions = capacity.known_predictions(total([item.demand for item in contents]))
    if predictions:
        return -max(prediction.throughput for prediction in predictions)
    return -_most_served(capacity, shares_of(contents))[1].throughput


def _most_served(capacity: Capacity, shares: dict[str, float]) -> tuple[Assignment, Answer]:
    """The number of slots with which most is served; where all of it is, the one with the lowest latency."""
    asked = [(slots, capacity.ask(shares, slots)) for slots in capacity.slot_choices(shares)]
    slots, answer = min(asked, key=lambda choice: (not choice[1].ok, _lack(choice[1]), choice[1].e2e_mean))
    return Assignment(capacity.server(shares, slots), shares), answer


def _lack(answer: Answer) -> float:
    """What is not served, where not all is."""
    return 0.0 if answer.ok else -answer.throughput
