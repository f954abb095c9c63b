"""Step terms: the seconds of a step as a linear form in the constants of `StepCost`, for the fit."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from adaptwin.arrays import Array
from adaptwin.profile.lora_kernels import RANK_BLOCK, LoraKernels, rank_blocks
from adaptwin.profile.step_cost import LARGEST_SPLIT, SMALLEST_SPLIT, TOKEN_BLOCK, StepCost
from adaptwin.rounding import rounded
from adaptwin.twin.step_totals import BEND_UNIT, StepTotals

KERNEL_SETTINGS = ("graph_tokens", "split_tokens")  # read from vLLM's sources, not fitted
# Seconds are not linear in these; they follow from the data sheet of the GPU and the shapes of the model.
SHAPES = ("balance_tokens", "expert_share", "expert_balance_tokens")
STEP_TERMS = tuple(name for name in StepCost.model_fields if name not in (*KERNEL_SETTINGS, *SHAPES))
# Every step has as much of these as of `host_base` and of `per_token`, so no measurement tells them apart.
INSEPARABLE = ("gpu_base", "communication", "communication_per_token")


def term_columns(kernels: LoraKernels, max_lora_rank: NDArray[np.int64], means: Mapping[str, Array]) -> Array:
    """Return the factor of each of the `STEP_TERMS`, shape (rows, terms).

    `means` holds the fields of `StepContents`, `context`, and `listed`, the adapters in the step times those in host
    memory, each of shape (rows,): of single steps, or as means over a run's steps.
    """
    blocks = np.array([rank_blocks(int(rank)) for rank in max_lora_rank], dtype=float)
    ones = np.ones(len(blocks))
    shrink = kernels.shrink_blocks * blocks
    columns = {
        "host_base": ones,
        "gpu_base": ones,
        "weights": means["bend"],
        "expert_weights": means["expert_bend"],
        "per_token": means["tokens"],
        "per_pair": means["pairs"],
        "per_context_token": means["context"],
        "per_sequence": means["sequences"],
        "eager": means["eager"],
        "communication": ones,
        "communication_per_token": means["tokens"],
        "slot_launch": kernels.launches * means["slots"],
        "launched_block": shrink * means["shrink_grid"] + kernels.expand_blocks * means["expand_grid"],
        "lora_launch": kernels.launches * means["lora"],
        "lora_byte": kernels.bytes_per_token * means["lora_tokens"],
        "adapter_byte": kernels.bytes_per_rank * RANK_BLOCK * blocks * means["adapters"],
        "shrink_block": shrink * means["shrink_work"] / TOKEN_BLOCK,
        "expand_block": kernels.expand_blocks * means["adapters"],
        "active_block": kernels.expand_blocks * means["expand_active"],
        "per_listed_adapter": means["listed"],
    }
    return np.stack([columns[name] for name in STEP_TERMS], axis=1)


def means_of_steps(steps: pl.DataFrame, cost: StepCost, kernels: LoraKernels) -> dict[str, Array]:
    """Return the contents of single steps, from their tokens, context, adapters, running requests and slots.

    The pairs that the attention of prompts compares are not measured. They are those of a step in which every request
    computes equally many tokens of a prompt, none of it cached: none in a step that only decodes. Nor is the number of
    adapters in host memory: those of the step are there.
    """
    tokens, context, adapters, running, max_loras = (
        steps[name].to_numpy().astype(float) for name in ("tokens", "context", "adapters", "running", "max_loras")
    )
    lora = (adapters > 0).astype(float)
    all_slots = np.where(max_loras > 0, max_loras + 1, 0.0)
    slots = np.where(adapters > 0, all_slots, 0.0 if kernels.skip_base_only else all_slots)
    parts = np.where(tokens <= cost.split_tokens, float(LARGEST_SPLIT), float(SMALLEST_SPLIT))
    wide = np.ceil(tokens / (2 * TOKEN_BLOCK))
    return {
        "tokens": tokens,
        "sequences": running,
        "pairs": np.where(tokens > running, tokens * (tokens / running + 1.0) / 2.0, 0.0),
        "bend": np.sqrt(1.0 + (tokens / cost.balance_tokens) ** 2),
        "expert_bend": np.sqrt(
            (1.0 - (1.0 - cost.expert_share) ** tokens) ** 2 + (tokens / cost.expert_balance_tokens) ** 2
        ),
        "eager": (tokens > cost.graph_tokens).astype(float),
        "slots": slots,
        "shrink_grid": slots * parts * np.ceil(tokens / TOKEN_BLOCK),
        "expand_grid": slots * wide,
        "lora": lora,
        "lora_tokens": lora * tokens,
        "adapters": adapters,
        "shrink_work": lora * parts * ((TOKEN_BLOCK - 1) * adapters + tokens),
        "expand_active": adapters * wide,
        "listed": adapters * adapters,
        "context": context,
        "waiting": np.zeros(len(tokens)),
    }


def means_per_step(totals: list[StepTotals], in_host: list[int]) -> dict[str, Array]:
    """Return the fields of several `StepTotals` as means per step, each of shape (totals,).

    `in_host` are the adapters in host memory of each run.
    """
    table = np.array(totals, dtype=float).reshape(-1, len(StepTotals._fields))
    means = {name: table[:, i] / np.maximum(1.0, table[:, 0]) for i, name in enumerate(StepTotals._fields)}
    listed = means["adapters"] * np.array(in_host, dtype=float)
    return {**means, **{name: means[name] / BEND_UNIT for name in ("bend", "expert_bend")}, "listed": listed}


def points(steps: pl.DataFrame, cost: StepCost) -> pl.DataFrame:
    """Merge similar steps to one point, with the median of their seconds, so that rare stalls do not count.

    Steps are similar if they are of one kind of server, their tokens and adapters differ by less than an eighth, and
    they are on the same side of the places where the cost jumps. Points of fewer than four steps are left out. A table
    of fewer than 2,000 steps is returned unchanged.
    """
    if len(steps) < 2000:
        return steps
    alike = ((pl.col(name) + 1).log(9 / 8).floor().alias(f"{name}_bin") for name in ("tokens", "adapters"))
    keys = ["max_loras", "max_lora_rank", "tokens_bin", "split", "eager", "adapters_bin"]
    sides = {"split": pl.col("tokens") <= cost.split_tokens, "eager": pl.col("tokens") > cost.graph_tokens}
    return (
        steps.with_columns(*alike, **sides)
        .group_by(keys)
        .agg(
            pl.len().alias("count"),
            pl.col("tokens", "context", "adapters", "running").mean(),
            pl.col("seconds").median(),
        )
        .filter(pl.col("count") >= 4)
        .sort(keys)
        .select(steps.columns)
    )


def with_constants(cost: StepCost, constants: Array) -> StepCost:
    """Return the cost with these constants for its `STEP_TERMS`, rounded to five digits."""
    return cost.model_copy(update={name: rounded(x, 5) for name, x in zip(STEP_TERMS, constants, strict=True)})


def constants_of(cost: StepCost) -> Array:
    """Return the constants of the `STEP_TERMS`, shape (terms,)."""
    return np.array([getattr(cost, name) for name in STEP_TERMS])
