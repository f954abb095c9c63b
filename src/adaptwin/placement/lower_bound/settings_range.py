"""SettingsRange: the settings among which the planner chooses, as far as the least work depends on them."""

from typing import NamedTuple

from adaptwin.twin.server import Server


class SettingsRange(NamedTuple):
    """Two ends of the settings that a server may have, besides its slots; they differ in nothing else.

    The constant of a step is shared out among the most tokens or requests that a step may have, or over the largest KV
    cache, so that a bound for both ends together holds for every setting between them.
    """

    widest: Server  # the most tokens and requests in a step
    leanest: Server  # the fewest, which leave the most memory for the KV cache

    @classmethod
    def of(cls, settings: "Server | SettingsRange") -> "SettingsRange":
        """Return a range; settings that are not chosen are both ends of one."""
        return cls(settings, settings) if isinstance(settings, Server) else settings
