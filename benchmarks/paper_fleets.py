"""Fleets of the paper's placement runs: an Azure trace dealt to adapters, planned on one half, judged on the next.

The paper takes two hours of the trace, repeats each request a number of times with a jitter of five seconds, deals the
requests to adapters by Dirichlet(0.5), and keeps some of the adapters. It plans with the rates of the first hour, and
serves the second. The public trace is an hour long, so here each part is half an hour. Lengths are ShareGPT's.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from adaptwin import Adapter, Lengths, Workload
from adaptwin.workload.drawing.seeds import stream_seed
from adaptwin.workload.sources.synthetic import share_out
from adaptwin.workload.sources.traces import read_trace
from populations import TRACES

JITTER = 5.0  # seconds
PEAK_SECONDS = 120.0
DEALT_TO = 1280  # adapters to which the trace is dealt; the paper's number is not known
RANKS = ((8, 16), (8, 16, 32))
LLAMA_FLEETS = ((1, 1280), (10, 64), (10, 256), (10, 640), (10, 1280))  # repetitions of the trace, and adapters kept
QWEN_FLEETS = ((25, 256), (25, 640), (50, 256))


class PaperFleet(NamedTuple):
    """A fleet: as a planner sees it, with the rates of the first half, and the traffic of the second half."""

    model: str
    repeated: int
    ranks: tuple[int, ...]
    planned: Workload
    served: Workload

    @property
    def name(self) -> str:
        """The fleet in words, for the first column of tables."""
        return f"×{self.repeated}, ranks {'/'.join(map(str, self.ranks))}, {len(self.planned)}"


def paper_fleets() -> Iterator[PaperFleet]:
    """Yield the fleets of both models."""
    for model, fleets in (("llama-3.1-8b-instruct", LLAMA_FLEETS), ("qwen-2.5-7b-instruct", QWEN_FLEETS)):
        for ranks in RANKS:
            for repeated, adapters in fleets:
                yield paper_fleet(model, repeated, adapters, ranks)


def paper_fleet(model: str, repeated: int, adapters: int, ranks: tuple[int, ...]) -> PaperFleet:
    """Return a fleet of so many adapters, out of those to which the trace is dealt."""
    recording = read_trace(TRACES / "azure_2023_conv.csv")
    half = recording.duration / 2
    generator = np.random.default_rng(stream_seed(0, "paper fleet", str(repeated), str(adapters)))
    shared = share_out(1.0, adapters=DEALT_TO, ranks=(0,), popularity="dirichlet:0.5", base_share=0.0, seed=0)
    kept = np.sort(generator.choice(DEALT_TO, size=adapters, replace=False))
    weights = np.array([shared[place].rate for place in kept])
    first, second = (recording.window(start, half).time for start in (0.0, half))
    counts = generator.multinomial(repeated * len(first), [*weights, max(0.0, 1.0 - weights.sum())])[:-1]
    times = np.repeat(second, repeated) + generator.uniform(-JITTER, JITTER, repeated * len(second))
    inside = np.sort(times[(times >= 0) & (times < half) & (generator.random(len(times)) < weights.sum())])
    names = [f"a{place:04}" for place in kept]
    of_rank = [ranks[i % len(ranks)] for i in range(adapters)]
    lengths = Lengths.named("sharegpt")
    planned, real = (
        [Adapter(*each) for each in zip(names, of_rank, rates.tolist(), strict=True)]
        for rates in (np.maximum(counts, 1) / half, weights * repeated * len(second) / half)
    )
    return PaperFleet(
        model,
        repeated,
        ranks,
        Workload(planned, lengths=lengths, duration=half),
        Workload(real, lengths=lengths, duration=half, arrivals=tuple(inside.tolist())),
    )


def peak_of_second_half() -> float:
    """Return the highest rate of the second half of the trace, over the mean of the first."""
    recording = read_trace(TRACES / "azure_2023_conv.csv")
    half = recording.duration / 2
    return recording.window(half, half).peak_rate(PEAK_SECONDS) / recording.window(0.0, half).rate
