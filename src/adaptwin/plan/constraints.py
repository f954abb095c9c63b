"""Constraints: adapters that are pinned to a server, kept apart, or kept together."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from adaptwin.errors import SpecError, did_you_mean
from adaptwin.plan.server_names import server_meant
from adaptwin.spec import Name, Spec
from adaptwin.visible import quoted

if TYPE_CHECKING:
    from adaptwin.workload.workload import Workload

Group = Annotated[tuple[Name, ...], Field(min_length=2, fail_fast=True)]


class Constraints(Spec):
    """Constraints on a placement. Adapters and servers are given by name."""

    pinned: dict[Name, Name] = Field(default_factory=dict, description="server of each pinned adapter, by adapter")
    apart: tuple[Group, ...] = Field(
        default=(), fail_fast=True, description="groups of adapters of which no two may share a server"
    )
    together: tuple[Group, ...] = Field(
        default=(), fail_fast=True, description="groups of adapters that must share one server"
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        """Refuse constraints that contradict each other, such as two adapters both kept apart and kept together."""
        group_of = self.group_of()
        for members in _by_value(group_of).values():
            pinned = {self.pinned[member]: member for member in members if member in self.pinned}
            if len(pinned) > 1:
                (server, one), (elsewhere, other) = list(pinned.items())[:2]
                how = f"{one!r} is pinned to {server} and {other!r} to {elsewhere}"
                raise ValueError(f"pinned: {how}, but they must be together")
        for group in self.apart:
            first: dict[str, str] = {}
            for name in group:
                head = group_of.get(name, name)
                if (before := first.get(head)) is not None:
                    raise ValueError(f"apart: {before!r} and {name!r} {self._why_together(before, name)}")
                first[head] = name
        return self

    def _why_together(self, one: str, other: str) -> str:
        server = self.pinned.get(one)
        if one != other and server and server == self.pinned.get(other):
            return f"are both pinned to {server}"
        return "must also be together"

    def __bool__(self) -> bool:
        return bool(self.pinned or self.apart or self.together)

    def require_known(self, workload: "Workload") -> None:
        """Raise `SpecError` if a constraint names an adapter that the workload lacks, or a GPU by a mistyped name."""
        known = {adapter.name for adapter in workload.adapters}
        for where, names in (
            ("pinned", self.pinned),
            *((f"apart[{i}]", group) for i, group in enumerate(self.apart)),
            *((f"together[{i}]", group) for i, group in enumerate(self.together)),
        ):
            for name in names:
                if name not in known:
                    what = f"{quoted(name)} is not an adapter of the workload{did_you_mean(name, known)}"
                    raise SpecError(what, f"constraints.{where}")
        for server in self.pinned.values():
            if (meant := server_meant(server)) != server:
                what = f"{quoted(server)} is nearly the name of a GPU; did you mean {meant}?"
                raise SpecError(f"{what} (GPUs are gpu-0, gpu-1 and so on, or have other names)", "constraints.pinned")

    def among(self, workload: "Workload") -> Self:
        """Return the constraints without the adapters that the workload does not have."""
        known = {adapter.name for adapter in workload.adapters}
        groups = {
            kind: tuple(
                left for group in getattr(self, kind) if len(left := tuple(name for name in group if name in known)) > 1
            )
            for kind in ("apart", "together")
        }
        return self.model_copy(update={"pinned": {n: s for n, s in self.pinned.items() if n in known}, **groups})

    def group_of(self) -> dict[str, str]:
        """Map each adapter that must share a server with others to the first name of its group.

        The adapters pinned to one server form a group. Groups with an adapter in common are merged.
        """
        first: dict[str, str] = {}

        def find(name: str) -> str:
            while first.setdefault(name, name) != name:
                name = first[name]
            return name

        for group in (*self.together, *_by_value(self.pinned).values()):
            for name in group[1:]:
                heads = sorted((find(group[0]), find(name)))
                first[heads[1]] = heads[0]
        return {name: find(name) for name in list(first)}

    def kept_apart(self) -> dict[str, frozenset[str]]:
        """Map each adapter to those it must not share a server with, including those pinned to other servers."""
        found: dict[str, set[str]] = {}
        for a, b in self._apart_pairs():
            found.setdefault(a, set()).add(b)
            found.setdefault(b, set()).add(a)
        return {name: frozenset(names) for name, names in found.items()}

    def violations(self, servers: Mapping[str, Iterable[str]]) -> list[str]:
        """List the constraints that a placement violates, one line each; `servers` has the adapters of each server."""
        on: dict[str, set[str]] = {}
        for server, adapters in servers.items():
            for name in adapters:
                on.setdefault(name, set()).add(server)
        lines = [
            f"{name!r} is pinned to {server}, but is on {', '.join(sorted(on[name]))}"
            for name, server in self.pinned.items()
            if name in on and on[name] != {server}
        ]
        for group in self.apart:
            lines += [
                f"{a!r} and {b!r} must be apart, but are both on {', '.join(sorted(on[a] & on[b]))}"
                for a, b in combinations(group, 2)
                if on.get(a, set()) & on.get(b, set())
            ]
        for group in self.together:
            where = {frozenset(on[name]) for name in group if name in on}
            if len(where) > 1 or any(len(servers) > 1 for servers in where):
                lines.append(f"{', '.join(map(repr, group))} must be together, but are not on one server")
        return lines

    def _apart_pairs(self) -> list[tuple[str, str]]:
        servers = list(_by_value(self.pinned).values())
        across = [(a, b) for one, other in combinations(servers, 2) for a in one for b in other]
        return [pair for group in self.apart for pair in combinations(group, 2)] + across


def _by_value(mapping: Mapping[str, str]) -> dict[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for name, value in mapping.items():
        found.setdefault(value, []).append(name)
    return dict(found)


NO_CONSTRAINTS = Constraints()
