"""StepTotals: what the steps of a run had in them, summed up. Step time is linear in it, which is what a fit needs."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class StepTotals(NamedTuple):
    """Sums over the steps of a run, in the terms of `StepCost` and `SchedulerCost`."""

    steps: int
    tokens: int
    context: int  # tokens of KV cache read by decodes
    eager: int  # steps too large for a CUDA graph
    lora: int  # steps with an adapter
    lora_tokens: int  # tokens of these
    adapters: int
    token_adapters: int  # tokens x adapters
    split_tokens: int  # tokens of steps in which the shrink kernel splits its sum
    split_adapters: int
    running: int  # requests scheduled
    waiting: int  # requests left waiting


def add_step(
    sums: NDArray[np.int64],
    tokens: int,
    context: int,
    adapters: int,
    running: int,
    waiting: int,
    graph_tokens: int,
    split_tokens: int,
) -> None:
    """Add a step to the sums. The kernel compiles this very function, the reference calls it as it is."""
    sums[0] += 1
    sums[1] += tokens
    sums[2] += context
    if tokens > graph_tokens:
        sums[3] += 1
    if adapters > 0:
        sums[4] += 1
        sums[5] += tokens
        sums[6] += adapters
        sums[7] += tokens * adapters
    if tokens <= split_tokens:
        sums[8] += tokens
        sums[9] += adapters
    sums[10] += running
    sums[11] += waiting
