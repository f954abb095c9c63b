"""GPU types of which a mix is made, each with all items as it serves them; groups of another size are another type."""

from collections.abc import Iterable, Sequence

from adaptwin.errors import Infeasible
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.lower_bound.lower_bound import price_of
from adaptwin.placement.packing.items import Bin, Item, groups_of, items_of_group, parts_needed
from adaptwin.placement.packing.problem import Problem


class GpuType:
    """Servers of one profile: a type of GPU, in groups of one size, with the price of a server.

    An item has the same number on all types; `items` has None where this type cannot serve it.
    """

    def __init__(self, problem: Problem, items: Sequence[Item | None]) -> None:
        self.problem, self.items = problem, items
        self.price = price_of(problem.capacity.profile)
        self._number = {id(item): number for number, item in enumerate(items) if item}

    @property
    def capacity(self) -> Capacity:
        """The answers about servers of this type."""
        return self.problem.capacity

    def contents(self, numbers: Iterable[int]) -> Bin:
        """Return the items with these numbers, without those that this type cannot serve."""
        return [item for number in numbers if (item := self.items[number])]

    def numbers(self, contents: Bin) -> list[int]:
        """Return the numbers of these items."""
        return [self._number[id(item)] for item in contents]


def gpu_types_of(problems: Sequence[Problem]) -> list[GpuType]:
    """Return the GPU types of these problems, which must have the same workload.

    A hot adapter is split into the number of parts that the GPU type with the smallest capacity for it needs. Raises
    `Infeasible` if no GPU type serves some adapter.
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
    """Return the number of parts in which each GPU type can serve a group; 0 where it cannot serve the group."""
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
