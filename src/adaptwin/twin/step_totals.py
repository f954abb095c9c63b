"""StepTotals: the contents of a run's steps, summed up. Step time is linear in them, so a fit needs nothing else."""

from typing import Any, NamedTuple

import numpy as np


class StepTotals(NamedTuple):
    """Sums over the steps of a run, in the terms of `StepCost` and `SchedulerCost`."""

    steps: int
    tokens: int
    context: int  # tokens of KV cache read by decodes
    eager: int  # steps too large for a CUDA graph
    lora: int  # steps with an adapter
    lora_tokens: int  # tokens of the steps with an adapter
    adapters: int  # distinct adapters in a step
    token_adapters: int  # tokens x adapters of a step
    split_tokens: int  # tokens of the steps in which the shrink kernel splits its sum
    split_adapters: int  # adapters of the steps in which the shrink kernel splits its sum
    running: int  # requests scheduled
    waiting: int  # requests left waiting


STEP_TOTALS = np.dtype([(name, np.int64) for name in StepTotals._fields])  # `StepTotals` as a mutable record


def add_step(
    totals: Any,
    tokens: int,
    context: int,
    adapters: int,
    running: int,
    waiting: int,
    graph_tokens: int,
    split_tokens: int,
) -> None:
    """Add a step to a record of `STEP_TOTALS`, or to another value with the fields of `StepTotals`.

    The kernel compiles this function; the reference calls it uncompiled, with integers of any size.
    """
    totals.steps += 1
    totals.tokens += tokens
    totals.context += context
    if tokens > graph_tokens:
        totals.eager += 1
    if adapters > 0:
        totals.lora += 1
        totals.lora_tokens += tokens
        totals.adapters += adapters
        totals.token_adapters += tokens * adapters
    if tokens <= split_tokens:
        totals.split_tokens += tokens
        totals.split_adapters += adapters
    totals.running += running
    totals.waiting += waiting
