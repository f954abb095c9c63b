"""Problem and Assignment: what every placement strategy is given, and what it returns."""

import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.capacity.slots import choose_slots
from adaptwin.placement.caution import ALONE_LOAD
from adaptwin.placement.packing.not_served import require_attainable, unservable
from adaptwin.plan.constraints import Constraints
from adaptwin.progress import Progress
from adaptwin.twin.server import Server

MOST_PARTS = 256  # servers over which one adapter may be split


class Assignment(NamedTuple):
    """One server of a placement: its settings, and the adapters on it with their shares of traffic."""

    server: Server
    shares: Mapping[str, float]
    kind: int | None = None  # servers of a kind are alike, so that one may stand for the others; None: it is like none


class Problem(NamedTuple):
    """Adapters to place on servers of one profile; `capacity` answers all questions about a server."""

    capacity: Capacity
    lower_bound: int  # on the number of servers
    progress: Progress
    deadline: float  # by the clock of `time.perf_counter`; past it, a strategy returns the best that it has found
    constraints: Constraints = Constraints()

    @property
    def out_of_time(self) -> bool:
        """Whether the deadline has passed."""
        return time.perf_counter() > self.deadline


class Place(Protocol):
    """The function of a strategy: it places each adapter on one server, or on several with shares that sum to one."""

    def __call__(self, problem: Problem) -> list[Assignment]:
        """Place all adapters; raises `Infeasible` when that is impossible."""
        ...


def shares_of_parts(items: Iterable[AdapterPart]) -> dict[str, float]:
    """Return the share of each adapter; parts of the same adapter are added up."""
    shares: dict[str, float] = {}
    for item in items:
        shares[item.name] = shares.get(item.name, 0.0) + item.share
    return shares


def items_to_place(problem: Problem) -> list[AdapterPart]:
    """Return every adapter with its whole traffic, or in equal parts where it is too hot for a single server.

    Raises:
        Infeasible: No server serves some adapter, however small its share of the traffic.
    """
    items: list[AdapterPart] = []
    for name in problem.capacity.names:
        parts = parts_of(problem, name)
        items += [AdapterPart(name, 1.0 / parts)] * parts
    return items


def parts_of(problem: Problem, name: str, factor: float = 1.0) -> int:
    """Return in how many equal parts to place an adapter, so that a server serves one at `factor` times its traffic."""
    capacity = problem.capacity
    capacity.require_startable(name)
    require_attainable(capacity, name)
    if capacity.load_of(AdapterPart(name, 1.0)) <= ALONE_LOAD:
        return 1
    parts = 1
    while parts <= MOST_PARTS:
        if choose_slots(capacity, {name: 1.0 / parts}, factor):
            return parts
        parts += max(1, parts // 6)
    raise unservable(problem.capacity, AdapterPart(name, 1.0 / MOST_PARTS))


def halves(problem: Problem, item: AdapterPart) -> list[AdapterPart]:
    """Split an item that no server serves alone in two; raises `Infeasible` if it is too small to be split again."""
    if item.share / 2 < 1.0 / MOST_PARTS:
        raise unservable(problem.capacity, item)
    return [AdapterPart(item.name, item.share / 2)] * 2
