"""GPU types that a mix is made of, with all items on each of them."""

from collections.abc import Iterable, Sequence

from adaptwin.errors import Infeasible
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.lower_bound.lower_bound import price_of
from adaptwin.placement.packing.items import Bin, Item, groups_of, items_of_group, parts_needed
from adaptwin.placement.packing.problem import Problem


class GpuType:
    """A type of GPU. Each item has a number, the same on all types; `items` has None for one that it cannot serve."""

    def __init__(self, problem: Problem, items: Sequence[Item | None]) -> None:
        self.problem, self.items = problem, items
        self.price = price_of(problem.capacity.profile)
        self._number = {id(item): number for number, item in enumerate(items) if item}

    @property
    def capacity(self) -> Capacity:
        """The answers about servers of this type."""
        return self.problem.capacity

    def contents(self, numbers: Iterable[int]) -> Bin:
        """The items with these numbers, without those that it cannot serve."""
        return [item for number in numbers if (item := self.items[number])]

    def numbers(self, contents: Bin) -> list[int]:
        """The numbers of its items."""
        return [self._number[id(item)] for item in contents]


def gpu_types_of(problems: Sequence[Problem]) -> list[GpuType]:
    """The GPU types of these problems, which are of the same workload.

    A hot adapter is in as many parts as the GPU type needs on which it needs the most. Raises `Infeasible` where no GPU
    type serves some adapter.
    """
    columns: list[list[Item | None]] = [[] for _ in problems]
    apart_from = problems[0].constraints.kept_apart()
    for members in groups_of(problems[0]):
        needed = _parts_on_each(problems, members)
        parts = max(needed)
        for problem, column, own in zip(problems, columns, needed, strict=True):
            column += items_of_group(problem.capacity, members, parts, apart_from) if own else [None] * parts
    return [GpuType(problem, column) for problem, column in zip(problems, columns, strict=True)]


def _parts_on_each(problems: Sequence[Problem], members: list[str]) -> list[int]:
    """In how many parts each GPU type needs a group to be; 0 where it does not serve it."""
    needed: list[int] = []
    failures: list[Infeasible] = []
    for problem in problems:
        try:
            needed.append(parts_needed(problem, members))
        except Infeasible as error:
            needed.append(0)
            failures.append(error)
    if not any(needed):
        raise failures[0]
    return needed
