"""Outlook: what the twin says of a fleet with the traffic that is expected."""

from collections.abc import Mapping
from typing import NamedTuple

MOST_HEADROOM_SEEN = 3.0  # four times the traffic


class Outlook(NamedTuple):
    """What the twin says of the servers of plans with some traffic."""

    failures: tuple[str, ...]  # what goes wrong, a line each; none if the plans hold
    failing: frozenset[str]  # servers where it goes wrong
    overloaded: tuple[str, ...]  # adapters that are starved or backlogged
    headroom: Mapping[str, float]  # how much more traffic each server bears, as a share; below 0: how much less

    @property
    def holds(self) -> bool:
        """Whether every server keeps up, within its limits and objectives."""
        return not self.failures

    def is_open(self, server: str) -> bool:
        """Whether the search for the headroom of a server ended without finding a limit."""
        return self.headroom[server] > 0.95 * MOST_HEADROOM_SEEN
