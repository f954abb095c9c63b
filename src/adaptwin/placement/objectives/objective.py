"""What every objective is given, and what it returns."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from adaptwin.placement.packing.dedicated import with_dedicated
from adaptwin.placement.packing.problem import Assignment, Problem
from adaptwin.placement.strategies.registry import Strategy
from adaptwin.plan.options import PlanOptions
from adaptwin.twin.server import Server


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

    def with_settings_of(self, other: Server) -> "Placed":
        """Return the server with the settings of another one, which is like it but may hold more or fewer adapters.

        It has no fewer slots than before, unless it has fewer adapters.
        """
        capacity, shares = self.problem.capacity, self.assignment.shares
        own = self.assignment.server
        if self.assignment.kind is None:
            return self._replace(assignment=self.assignment._replace(server=other))
        slots = min(max(own.max_loras, other.max_loras), capacity.all_slot_choices(shares)[-1])
        held = max(slots, own.max_cpu_loras or 0) if other.max_cpu_loras else None
        adapted = other.with_slots(slots, max_lora_rank=own.max_lora_rank, max_cpu_loras=held)
        return self._replace(assignment=self.assignment._replace(server=adapted))


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
