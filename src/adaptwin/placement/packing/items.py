"""Items: what `pack` places as a whole - an adapter, a part of a hot one, or adapters that must stay together."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from adaptwin.errors import Infeasible
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.server_demand import AdapterPart, ServerDemand
from adaptwin.placement.capacity.slots import choose_slots
from adaptwin.placement.caution import ALONE_LOAD
from adaptwin.placement.packing.not_served import require_attainable, served_at_most
from adaptwin.placement.packing.problem import Problem, halves, parts_of, shares_of_parts

MOST_MEMBERS_NAMED = 8  # adapters named in an error


class Item(NamedTuple):
    """Adapters, or a part of one, that go to the same server."""

    shares: tuple[AdapterPart, ...]
    demand: ServerDemand
    apart_from: frozenset[str] = frozenset()  # adapters that must not be on the same server

    @property
    def name(self) -> str:
        """The name of its first adapter."""
        return self.shares[0].name

    @property
    def load(self) -> float:
        """A lower bound on the share of a GPU's time that the item takes."""
        return self.demand.load

    @property
    def rank(self) -> int:
        """The highest rank of its adapters."""
        return self.demand.rank


Bin = list[Item]  # what is placed on one server


def shares_of(contents: Iterable[Item]) -> dict[str, float]:
    """The adapters of some items with their shares of traffic."""
    return shares_of_parts(share for item in contents for share in item.shares)


def load_of(contents: Iterable[Item]) -> float:
    """A lower bound on the share of a GPU's time that some items take."""
    return sum(item.load for item in contents)


def likelihood_of_overload(capacity: Capacity, contents: Bin, demand: ServerDemand, factor: float = 1.0) -> float:
    """Return the likelihood that a server with these items, of this total demand, is overloaded.

    It is 0 or 1 where the surrogate does not know such servers and the twin is run instead.
    """
    likelihood = capacity.likelihood_of_overload(demand, factor)
    if likelihood is None:
        return 0.0 if choose_slots(capacity, shares_of(contents), factor) else 1.0
    return likelihood


def may_join(item: Item, contents: Iterable[Item]) -> bool:
    """Whether the constraints allow the item on a server with these items."""
    return not item.apart_from or item.apart_from.isdisjoint(share.name for other in contents for share in other.shares)


def items_of(problem: Problem, factor: float = 1.0) -> list[Item]:
    """Return all adapters as items: groups whole, hot adapters in equal parts where no single server serves them.

    The parts are small enough that a server serves one part with `factor` times its traffic.

    Raises:
        Infeasible: No server serves some adapter, however small its share of the traffic; or no single server serves
            a group or a pinned adapter.
    """
    apart_from = problem.constraints.kept_apart()
    return [
        item
        for members in groups_of(problem)
        for item in items_of_group(problem.capacity, members, parts_needed(problem, members, factor), apart_from)
    ]


def groups_of(problem: Problem) -> list[list[str]]:
    """Return the groups of adapters that must be on the same server; most groups are a single adapter."""
    group_of = problem.constraints.group_of()
    groups: dict[str, list[str]] = {}
    for name in problem.capacity.names:
        groups.setdefault(group_of.get(name, name), []).append(name)
    return list(groups.values())


def parts_needed(problem: Problem, members: list[str], factor: float = 1.0) -> int:
    """Return in how many equal parts a group must be placed to be served; raises `Infeasible` as `items_of` does."""
    if len(members) == 1:
        parts = parts_of(problem, members[0], factor)
        if parts > 1 and members[0] in problem.constraints.pinned:
            parts = parts_of(problem, members[0])
            if parts > 1:
                _refuse_parts(members[0], problem)
        return parts
    _require_served_together(problem, members)
    return 1


def items_of_group(
    capacity: Capacity, members: list[str], parts: int, apart_from: Mapping[str, frozenset[str]]
) -> list[Item]:
    """Return a group of adapters as `parts` equal items."""
    item = _item(capacity, tuple(AdapterPart(name, 1.0 / parts) for name in members), _union(apart_from, members))
    return [Item(*item) for _ in range(parts)]


def as_items(problem: Problem, shares: Mapping[str, float]) -> Bin:
    """Return the adapters of a server as items, one for each group that must stay together."""
    group_of, apart_from = problem.constraints.group_of(), problem.constraints.kept_apart()
    groups: dict[str, list[AdapterPart]] = {}
    for name, share in shares.items():
        groups.setdefault(group_of.get(name, name), []).append(AdapterPart(name, share))
    return [
        _item(problem.capacity, tuple(members), _union(apart_from, (member.name for member in members)))
        for members in groups.values()
    ]


def halved(problem: Problem, item: Item) -> list[Item]:
    """Split an item that no server serves alone in two; raises `Infeasible` if it cannot be split."""
    if len(item.shares) > 1:
        _refuse_together(item.name, problem, [share.name for share in item.shares])
    if item.name in problem.constraints.pinned:
        _refuse_parts(item.name, problem)
    return [_item(problem.capacity, (half,), item.apart_from) for half in halves(problem, item.shares[0])]


def item_of(problem: Problem, part: AdapterPart, apart_from: frozenset[str]) -> Item:
    """Return a part of an adapter as an item."""
    return _item(problem.capacity, (part,), apart_from)


def _item(capacity: Capacity, shares: tuple[AdapterPart, ...], apart_from: frozenset[str]) -> Item:
    return Item(shares, capacity.demand_of(shares), apart_from)


def _union(apart_from: Mapping[str, frozenset[str]], names: Iterable[str]) -> frozenset[str]:
    """Return all adapters from which any of these must be kept apart."""
    return frozenset[str]().union(*(apart_from.get(name, frozenset()) for name in names))


def _require_served_together(problem: Problem, members: list[str]) -> None:
    capacity = problem.capacity
    for name in members:
        capacity.require_startable(name)
        require_attainable(capacity, name)
    shares = dict.fromkeys(members, 1.0)
    if capacity.load(shares) > ALONE_LOAD and not choose_slots(capacity, shares):
        _refuse_together(members[0], problem, members)


def _refuse_together(first: str, problem: Problem, members: list[str]) -> None:
    capacity, pinned = problem.capacity, problem.constraints.pinned
    servers = {pinned[name] for name in members if name in pinned}
    why = f"are pinned to {', '.join(servers)}" if all(name in pinned for name in members) else "must be together"
    raise Infeasible(
        f"{capacity.path(first)}: {_named_members(members)} {why}, but no single {capacity.profile.name} serves them: "
        f"{served_at_most(capacity, dict.fromkeys(members, 1.0))}"
    )


def _refuse_parts(name: str, problem: Problem) -> None:
    capacity, server = problem.capacity, problem.constraints.pinned[name]
    raise Infeasible(
        f"{capacity.path(name)}: {name!r} is pinned to {server}, but no single {capacity.profile.name} serves it: "
        f"{served_at_most(capacity, {name: 1.0})}; without the pin, its traffic can be split over servers"
    )


def _named_members(names: list[str]) -> str:
    more = f" and {len(names) - MOST_MEMBERS_NAMED:,} more" if len(names) > MOST_MEMBERS_NAMED else ""
    return f"{', '.join(map(repr, names[:MOST_MEMBERS_NAMED]))}{more}"
