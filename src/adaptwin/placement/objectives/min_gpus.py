"""min-gpus: the fewest GPUs, all of the profile that needs the fewest."""

from collections.abc import Sequence

from adaptwin.errors import Infeasible
from adaptwin.placement.objectives.objective import Asked, Measure, Placed, placed
from adaptwin.placement.packing.problem import Problem
from adaptwin.placement.strategies.registry import Strategy


def min_gpus(problems: Sequence[Problem], asked: Asked) -> list[Placed]:
    """Return the strategy's placement on the profile where it needs the fewest servers."""
    return best_alone(problems, asked.strategy, len)


def best_alone(problems: Sequence[Problem], strategy: Strategy, measure: Measure) -> list[Placed]:
    """Return the placement with the lowest measure, of those on each profile; raises `Infeasible` if there is none."""
    found: list[list[Placed]] = []
    failures: list[Infeasible] = []
    for problem in problems:
        try:
            found.append(placed(problem, strategy.place(problem)))
        except Infeasible as error:
            failures.append(error)
    if not found:
        raise failures[0]
    return min(found, key=lambda servers: (measure(servers), len(servers)))
