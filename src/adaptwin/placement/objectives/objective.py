"""What every objective is given, and what it returns."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from adaptwin.placement.packing.dedicated import with_dedicated
from adaptwin.placement.packing.problem import Assignment, Problem
from adaptwin.placement.strategies.registry import Strategy
from adaptwin.plan.options import PlanOptions


class Asked(NamedTuple):
    """What an objective is given besides the problems."""

    strategy: Strategy  # the way to place adapters on servers of one profile
    options: PlanOptions

    def place_alone(self, problem: Problem) -> list[Assignment]:
        """Place all adapters on servers of one profile, some of them dedicated to one adapter if that saves servers."""
        return with_dedicated(problem, self.strategy.place, allow_merged=self.options.allow_merged)


class Placed(NamedTuple):
    """One server of a placement, and the problem, and thus the profile, that it belongs to."""

    problem: Problem
    assignment: Assignment


def servers_given(problem: Problem, options: PlanOptions) -> int:
    """Return how many servers of a problem's profile the given GPUs make; GPUs too few for another server are left."""
    return (options.gpus or 1) // problem.capacity.profile.tensor_parallel_size


Measure = Callable[[Sequence[Placed]], float]


class PlaceOnProfiles(Protocol):
    """The function of an objective: it chooses among placements on servers of one or several profiles."""

    def __call__(self, problems: Sequence[Problem], asked: Asked) -> list[Placed]:
        """Place all adapters; the problems are the same workload on different profiles.

        Raises `Infeasible` when that is impossible.
        """
        ...


def placed(problem: Problem, assignments: Sequence[Assignment]) -> list[Placed]:
    """Return assignments together with the problem that they belong to."""
    return [Placed(problem, assignment) for assignment in assignments]
