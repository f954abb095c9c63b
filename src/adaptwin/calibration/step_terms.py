"""Step terms: the seconds of a step as a linear form in the constants of `StepCost`, for the fit."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from adaptwin.arrays import Array
from adaptwin.profile.step_cost import StepCost, further_blocks
from adaptwin.rounding import rounded
from adaptwin.twin.step_totals import StepTotals

KERNEL_SETTINGS = ("graph_tokens", "split_tokens")  # read from vLLM's sources, not fitted
STEP_TERMS = tuple(name for name in StepCost.model_fields if name not in KERNEL_SETTINGS)


def term_columns(max_loras: Array, max_lora_rank: Array, means: Mapping[str, Array]) -> Array:
    """Return the factor of each of the `STEP_TERMS`, shape (rows, terms).

    `means` holds the fields of `StepTotals`, each of shape (rows,): of single steps, or as means over a run's steps.
    """
    further = np.array([further_blocks(int(rank)) for rank in max_lora_rank], dtype=float)
    columns = {
        "base": np.ones(len(max_loras)),
        "per_token": means["tokens"],
        "per_context_token": means["context"],
        "eager": means["eager"],
        "per_slot": max_loras,
        "per_slot_block": max_loras * further,
        "per_token_slot": max_loras * means["tokens"],
        "lora_base": means["lora"],
        "lora_per_token": means["lora_tokens"],
        "lora_per_adapter": means["adapters"],
        "lora_per_adapter_block": means["adapters"] * further,
        "lora_per_token_adapter": means["token_adapters"],
        "split_per_token_slot": max_loras * means["split_tokens"],
        "split_per_adapter": means["split_adapters"],
        "split_per_adapter_block": means["split_adapters"] * further,
    }
    return np.stack([columns[name] for name in STEP_TERMS], axis=1)


def means_of_steps(steps: pl.DataFrame, cost: StepCost) -> dict[str, Array]:
    """Return the fields of `StepTotals` for single steps, from their tokens, context, adapters and running requests."""
    tokens, context, adapters, running = (
        steps[name].to_numpy().astype(float) for name in ("tokens", "context", "adapters", "running")
    )
    lora, split = (adapters > 0).astype(float), (tokens <= cost.split_tokens).astype(float)
    return {
        "tokens": tokens,
        "context": context,
        "eager": (tokens > cost.graph_tokens).astype(float),
        "lora": lora,
        "lora_tokens": lora * tokens,
        "adapters": adapters,
        "token_adapters": tokens * adapters,
        "split_tokens": split * tokens,
        "split_adapters": split * adapters,
        "running": running,
        "waiting": np.zeros(len(tokens)),
    }


def means_per_step(totals: list[StepTotals]) -> dict[str, Array]:
    """Return the fields of several `StepTotals` as means per step, each of shape (totals,)."""
    table = np.array(totals, dtype=float).reshape(-1, len(StepTotals._fields))
    return {name: table[:, i] / np.maximum(1.0, table[:, 0]) for i, name in enumerate(StepTotals._fields)}


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
