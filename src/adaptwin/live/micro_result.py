"""MicroResult: what one micro-benchmark found."""

from typing import NamedTuple


class MicroResult(NamedTuple):
    """What one micro-benchmark found: the seconds of a step (of a load, for a swap) and what the step held."""

    name: str
    kind: str
    seconds: float | None  # None: it could not be told, and `said` says why
    tokens: float = 0.0
    context: float = 0.0
    adapters: float = 0.0
    running: float = 0.0
    rank: int = 0
    ttft: float | None = None  # seconds, as the client saw it, of a prefill
    said: str = ""
