"""StepTotals: the contents of a run's steps, summed up. Step time is linear in them, so a fit needs nothing else."""

from typing import Any, NamedTuple

import numpy as np

from adaptwin.profile.step_cost import StepContents

BEND_UNIT = 1 << 20  # the bend of a step is summed up in this many parts of 1, so that sums are whole numbers


class StepTotals(NamedTuple):
    """Sums over the steps of a run, in the terms of `StepCost` and `SchedulerCost`."""

    steps: int
    tokens: int
    sequences: int  # requests scheduled
    pairs: int
    bend: int  # in parts of 1 / `BEND_UNIT`
    expert_bend: int  # in the same parts
    eager: int
    slots: int
    shrink_grid: int
    expand_grid: int
    lora: int
    lora_tokens: int
    adapters: int
    shrink_work: int
    expand_active: int
    context: int  # tokens of KV cache read by decodes
    waiting: int  # requests left waiting


STEP_TOTALS = np.dtype([(name, np.int64) for name in StepTotals._fields])  # `StepTotals` as a mutable record


def add_step(totals: Any, contents: StepContents, context: int, waiting: int) -> None:
    """Add a step to a record of `STEP_TOTALS`, or to another value with the fields of `StepTotals`.

    The kernel compiles this function; the reference calls it uncompiled, with integers of any size.
    """
    totals.steps += 1
    totals.tokens += contents.tokens
    totals.sequences += contents.sequences
    totals.pairs += contents.pairs
    totals.bend += int(contents.bend * BEND_UNIT + 0.5)
    totals.expert_bend += int(contents.expert_bend * BEND_UNIT + 0.5)
    totals.eager += contents.eager
    totals.slots += contents.slots
    totals.shrink_grid += contents.shrink_grid
    totals.expand_grid += contents.expand_grid
    totals.lora += contents.lora
    totals.lora_tokens += contents.lora_tokens
    totals.adapters += contents.adapters
    totals.shrink_work += contents.shrink_work
    totals.expand_active += contents.expand_active
    totals.context += context
    totals.waiting += waiting
