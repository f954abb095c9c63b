"""SimulatedStretch: what a stretch of a simulated time came to."""

from typing import NamedTuple


class SimulatedStretch(NamedTuple):
    """A stretch of time of a simulated fleet."""

    start: float  # seconds
    requests: float  # per second
    gpus: int  # those of servers that start included
    overloaded: tuple[str, ...]  # adapters that were starved or backlogged
    moves: int  # that ended before the stretch
    restarts: int
