"""What every objective is given, and what it gives back."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from adaptwin.placement.packing.problem import Assignment, Problem
from adaptwin.placement.strategies.registry import Strategy
from adaptwin.plan.options import PlanOptions


class Asked(NamedTuple):
    """What is asked for besides the objective itself."""

    strategy: Strategy  # the way to place adapters on servers of one profile
    options: PlanOptions


class Placed(NamedTuple):
    """One server of a placement, and the problem - so the profile - that it is part of."""

    problem: Problem
    assignment: Assignment


Measure = Callable[[Sequence[Placed]], float]


class PlaceOnProfiles(Protocol):
    """The function of an objective: it chooses among placements on servers of one or several profiles."""

    def __call__(self, problems: Sequence[Problem], asked: Asked) -> list[Placed]:
        """Place all adapters; the problems are the same workload on different profiles.

        Raises `Infeasible` when that cannot be done.
        """
        ...


def placed(problem: Problem, assignments: Sequence[Assignment]) -> list[Placed]:
    """Assignments on servers of one profile."""
    return [Placed(problem, assignment) for assignment in assignments]
