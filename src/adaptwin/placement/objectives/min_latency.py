"""min-latency: on a given number of GPUs, the lowest 99th percentile of ITL or TTFT on the worst of them."""

from collections.abc import Sequence
from functools import partial

from adaptwin.errors import Infeasible
from adaptwin.placement.capacity.capacity import Answer, Capacity
from adaptwin.placement.capacity.server_demand import total
from adaptwin.placement.objectives.objective import Goal, Latency, Placed, placed
from adaptwin.placement.packing.items import Bin, items_of, shares_of
from adaptwin.placement.packing.moves import deals, improved
from adaptwin.placement.packing.problem import Assignment, Problem
from adaptwin.placement.strategies.pack import packed
from adaptwin.surrogate.surrogate import Prediction

IMPROVED = 2  # deals, the most promising ones, that are improved by moves
TOO_MUCH = 1e6  # seconds: the score of a server that does not serve everybody, times the likelihood of that
SURE = 0.3  # probability that somebody suffers, up to which a server is thought to serve


def min_latency(problems: Sequence[Problem], goal: Goal) -> list[Placed]:
    """Of the ways to deal the adapters out, the best improved by moves off the worst server, the one the twin prefers.

    Raises `Infeasible` where so many GPUs do not serve everybody.
    """
    found: list[tuple[float, list[Placed]]] = []
    for problem in problems:
        for hands in _promising(problem, goal):
            answers = [_best(problem.capacity, shares_of(hand), goal.latency) for hand in hands]
            if all(answer for _, answer in answers):
                worst = max(_p99(answer, goal.latency) for _, answer in answers if answer)
                found.append((worst, placed(problem, [assignment for assignment, _ in answers])))
    if not found:
        raise Infeasible(f"gpus: {goal.gpus} will not serve everybody; the objective min-gpus finds how many will")
    return min(found, key=lambda way: way[0])[1]


def _promising(problem: Problem, goal: Goal) -> list[list[Bin]]:
    """Deals to ask the twin about: all that there are, and the best of them after moves."""
    score = partial(_score, problem.capacity, goal.latency)
    found = deals(problem, goal.gpus or 1)
    tight = packed(problem, partial(items_of, problem))
    if len(tight) == goal.gpus:
        found.append(tight)
    best = sorted(found, key=lambda hands: max(map(score, hands)))[:IMPROVED]
    return [improved(problem, hands, score, max).hands for hands in best] + best


def _score(capacity: Capacity, latency: Latency, hand: Bin) -> float:
    """The latency that is expected of a server, by the surrogate where it knows such servers, or else by the twin."""
    guesses = capacity.guesses(total([item.sums for item in hand]))
    if guesses:
        likely = [guess for guess in guesses if guess.overload <= SURE]
        if not likely:
            return TOO_MUCH * min(guess.overload for guess in guesses)
        return min(_p99(guess, latency) for guess in likely)
    _, answer = _best(capacity, shares_of(hand), latency)
    return _p99(answer, latency) if answer else TOO_MUCH


def _best(capacity: Capacity, shares: dict[str, float], latency: Latency) -> tuple[Assignment, Answer | None]:
    """The number of slots with the lowest latency, and what the twin says of it; None where no number serves."""
    asked = [(slots, capacity.ask(shares, slots)) for slots in capacity.slot_choices(shares)]
    good = [(slots, answer) for slots, answer in asked if answer.ok]
    if not good:
        return Assignment(capacity.server(shares, capacity.slot_choices(shares)[0]), shares), None
    slots, answer = min(good, key=lambda choice: (_p99(choice[1], latency), choice[0]))
    return Assignment(capacity.server(shares, slots), shares), answer


def _p99(said: Prediction | Answer, latency: Latency) -> float:
    return said.itl_p99 if latency == "itl" else said.ttft_p99
