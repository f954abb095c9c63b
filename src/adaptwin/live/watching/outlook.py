"""Outlook: what the twin says of a fleet with the traffic that is expected."""

from collections.abc import Mapping
from typing import NamedTuple

from adaptwin.twin.run import Run


class Outlook(NamedTuple):
    """What the twin says of the servers of plans with some traffic."""

    failures: tuple[str, ...]  # what goes wrong, a line each; none if the plans hold
    failing: frozenset[str]  # servers where it goes wrong
    overloaded: tuple[str, ...]  # adapters that are starved or backlogged
    runs: Mapping[str, Run]  # by server
    headroom: Mapping[str, float]  # how much more traffic each server bears, as a share; below 0: how much less

    @property
    def holds(self) -> bool:
        """Whether every server keeps up, within its limits and objectives."""
        return not self.failures

    @property
    def load(self) -> float:
        """Servers that would suffice if traffic could be divided at will."""
        return sum(1.0 / (1.0 + share) for share in self.headroom.values())
