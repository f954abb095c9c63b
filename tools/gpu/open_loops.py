"""Open loops: short whole runs with Poisson arrivals, to check a profile with."""

import random
from typing import NamedTuple

from engine_spec import EngineSpec

MOST_SLOTS = 16  # servers with more are not played: adapters would hardly change places
SEED = 1


class Arrival(NamedTuple):
    """A request that is due."""

    at: float  # seconds from the start of the run
    adapter: int  # its index


class OpenLoop(NamedTuple):
    """A run with Poisson arrivals: `adapters` of the server's rank at `rate` requests/s in all, fixed lengths."""

    adapters: int
    rate: float
    prompt: int
    answer: int
    seconds: float
    skew: float = 0.0  # popularity of the i-th adapter ~ 1 / i**skew

    @property
    def name(self) -> str:
        """What it is in words, which tells it from all others."""
        return f"run {self.adapters} adapters {self.rate:g}/s {self.prompt}+{self.answer} skew {self.skew:g}"

    @property
    def rates(self) -> list[float]:
        """Requests/s of each adapter."""
        shares = [1.0 / (index + 1) ** self.skew for index in range(self.adapters)]
        return [self.rate * share / sum(shares) for share in shares]

    def arrivals(self) -> list[Arrival]:
        """All requests in the order in which they are due, the same ones each time."""
        rng = random.Random(SEED)
        due = []
        for adapter, rate in enumerate(self.rates):
            at = rng.expovariate(rate)
            while at < self.seconds:
                due.append(Arrival(at, adapter))
                at += rng.expovariate(rate)
        return sorted(due)


def open_loops(spec: EngineSpec, *, tiny: bool) -> list[OpenLoop]:
    """Runs for an engine: calm, busy with swapping, long prompts, overloaded; only for few slots."""
    slots = spec.max_loras
    if not 0 < slots <= MOST_SLOTS:
        return []
    if tiny:
        return [OpenLoop(slots, 3.0, 32, 24, 10.0), OpenLoop(2 * slots, 4.0, 32, 24, 10.0)]
    return [
        OpenLoop(slots, 8.0, 256, 200, 45.0),
        OpenLoop(2 * slots, 16.0, 256, 200, 60.0, skew=1.0),
        OpenLoop(slots, 4.0, 4096, 200, 45.0),
        OpenLoop(2 * slots, 40.0, 256, 200, 60.0),
    ]
