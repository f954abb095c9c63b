"""StepTotals: what the steps of a run had in them, summed up. Step time is linear in it, which is what a fit needs."""

from typing import Any, NamedTuple

import numpy as np


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


STEP_TOTALS = np.dtype([(name, np.int64) for name in StepTotals._fields])  # the same fields, to be added to


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
    """Add a step to a record of `STEP_TOTALS`.

    The kernel compiles this very function, the reference calls it as it is.
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
