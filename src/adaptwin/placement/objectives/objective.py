"""Objective, Goal and Placed: what every objective is given, and what it gives back."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from adaptwin.placement.packing.problem import Assignment, Problem, Strategy

Latency = Literal["itl", "ttft"]


class Goal(NamedTuple):
    """What is asked for besides the objective itself."""

    strategy: Strategy
    gpus: int | None = None  # how many there are, for objectives that take them as given
    latency: Latency = "itl"  # whose 99th percentile `min-latency` brings down


class Placed(NamedTuple):
    """One server of a placement, and the problem - so the profile - that it is part of."""

    problem: Problem
    assignment: Assignment


Measure = Callable[[Sequence[Placed]], float]  # of a placement: the lower the better


class Objective(Protocol):
    """A way to choose among placements on servers of one or several profiles."""

    def __call__(self, problems: Sequence[Problem], goal: Goal) -> list[Placed]:
        """Place all adapters; the problems are the same workload on different profiles.

        Raises `Infeasible` when that cannot be done.
        """
        ...


def placed(problem: Problem, assignments: Sequence[Assignment]) -> list[Placed]:
    """Assignments on servers of one profile."""
    return [Placed(problem, assignment) for assignment in assignments]
