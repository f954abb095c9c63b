"""Plausible memory: compare the setup and the rows of the table `memory` with the sizes of GPUs and of the model."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from adaptwin.calibration.hardware import memory_from_shapes
from adaptwin.calibration.measurements import Setup
from adaptwin.calibration.plausible_rows import require_rows
from adaptwin.errors import SpecError
from adaptwin.profile.memory import GIB
from adaptwin.workload.lora_ranks import SERVED_RANKS

LEAST_GPU_GIB, MOST_GPU_GIB = 2.0, 4608.0  # a small GPU, and a group of sixteen with 288 GiB each
MOST_ACTIVATIONS = 0.75  # of the memory beside the weights; more means that KV tokens are given in another unit
MANY_ACTIVATIONS = 0.5  # as above, from which a warning is given
SAME_KV, ALMOST_SAME_KV = 0.02, 0.005  # relative difference of servers with equal settings: refused, doubtful
MORE_KV = 0.01  # relative gain of KV tokens with more slots that is refused
VISIBLE_SLOTS = 0.05  # share of the KV tokens that further slots must take for their cost to be checked
LEAST_SLOT, SMALL_SLOT, LARGE_SLOT = 0.1, 0.5, 2.0  # cost of slots over that of the shapes: refused, doubtful, doubtful


def check_memory(setup: Setup, table: pl.DataFrame | None) -> list[str]:
    """Return one sentence for everything that is doubtful about the GPU's memory and the servers in the table.

    Raises:
        SpecError: A value is not plausible, or rows contradict each other; names the row.
    """
    _check_gpu(setup)
    if table is None:
        return []
    slots = pl.col("max_loras") > 0
    require_rows(
        table, "memory", "max_lora_rank", ~slots | pl.col("max_lora_rank").is_in(SERVED_RANKS), _RANKS_EXPECTED
    )
    doubts = [*_check_sizes(setup, table), *_check_equal_settings(table)]
    _check_order(table)
    return [*doubts, *_check_slots(setup, table)]


_RANKS_EXPECTED = f"one of {', '.join(map(str, SERVED_RANKS))}, the ranks that vLLM serves"


def _check_gpu(setup: Setup) -> None:
    if not LEAST_GPU_GIB <= setup.gpu_gib <= MOST_GPU_GIB:
        units = {"MiB": 1024.0, "bytes": float(GIB)}
        unit = next((u for u, size in units.items() if LEAST_GPU_GIB <= setup.gpu_gib / size <= MOST_GPU_GIB), None)
        hint = f"; is it in {unit}?" if unit else ""
        raise SpecError(
            f"{setup.gpu_gib:,.6g} GiB is not plausible: expected {LEAST_GPU_GIB:g} to {MOST_GPU_GIB:,.0f} GiB{hint}",
            "setup.gpu_gib",
        )
    budget, weights = setup.gpu_gib * GIB * setup.memory_settings.gpu_memory_utilization, setup.model.weights_bytes
    if weights >= budget:
        raise SpecError(
            f"the weights of {setup.model.name} take {weights / GIB:.1f} GiB, and vLLM may use {budget / GIB:.1f} GiB: "
            "check gpu_gib, gpu_memory_utilization and the model's shapes and bytes_per_weight",
            "setup.gpu_gib",
        )


def _check_sizes(setup: Setup, table: pl.DataFrame) -> Iterator[str]:
    """Compare what the KV cache leaves for activations with the memory beside the weights."""
    shapes = memory_from_shapes(setup)
    beside = shapes.gpu_bytes * setup.memory_settings.gpu_memory_utilization - shapes.weights_bytes
    for row, (slots, rank, tokens) in enumerate(table.select("max_loras", "max_lora_rank", "kv_cache_tokens").rows()):
        if not tokens:
            continue
        cache, adapters = tokens * shapes.kv_bytes_per_token, slots * shapes.slot_bytes_per_rank * rank
        where = f"memory row {row + 1}: kv_cache_tokens"
        if cache > beside:
            raise SpecError(
                f"{tokens:,} tokens of {shapes.kv_bytes_per_token:,.0f} bytes take {cache / GIB:,.1f} GiB, more than "
                f"fit beside the weights ({beside / GIB:.1f} GiB, or {int(beside / shapes.kv_bytes_per_token):,} "
                "tokens): check the unit, gpu_gib, gpu_memory_utilization and the model's shapes",
                where,
            )
        activations = (beside - cache - adapters) / beside
        left = (
            f"{tokens:,} tokens of {shapes.kv_bytes_per_token:,.0f} bytes take {cache / GIB:,.2f} of the "
            f"{beside / GIB:.1f} GiB beside the weights, and {slots} slots of rank {rank} {adapters / GIB:,.1f} GiB: "
            f"{activations:.0%} would be left for activations"
        )
        if activations > MOST_ACTIVATIONS:
            raise SpecError(
                f"{left}; expected at most {MOST_ACTIVATIONS:.0%}: are these tokens, or blocks or GiB?", where
            )
        if activations > MANY_ACTIVATIONS:
            yield f"{where}: {left}, which is unusually much"


def _check_equal_settings(table: pl.DataFrame) -> Iterator[str]:
    """Compare the KV tokens of servers with equal settings."""
    rows = table.with_row_index("row", offset=1).sort("max_loras", "max_lora_rank", "kv_cache_tokens")
    for (slots, rank), same in rows.group_by("max_loras", "max_lora_rank", maintain_order=True):
        least, most = same.row(0, named=True), same.row(-1, named=True)
        apart = 1 - least["kv_cache_tokens"] / max(1, most["kv_cache_tokens"])
        if apart <= ALMOST_SAME_KV or least["row"] == most["row"]:
            continue
        found = (
            f"rows {least['row']} and {most['row']} have the same max_loras {slots} and max_lora_rank {rank}, but "
            f"{least['kv_cache_tokens']:,} and {most['kv_cache_tokens']:,} KV tokens"
        )
        if apart > SAME_KV:
            raise SpecError(
                f"{found}; expected at most {SAME_KV:.0%} apart: other settings or GPUs belong into other folders",
                f"memory row {least['row']}: kv_cache_tokens",
            )
        yield f"memory: {found}"


def _check_order(table: pl.DataFrame) -> None:
    """Compare servers of which one has at least as many slots, of at least as high a rank, as the other."""
    slots, rank, tokens = (table[name].to_numpy() for name in ("max_loras", "max_lora_rank", "kv_cache_tokens"))
    rank = np.where(slots > 0, rank, 0)
    for one in range(len(table)):
        larger = (slots >= slots[one]) & (rank >= rank[one]) & (slots + rank > slots[one] + rank[one])
        wrong = larger & (tokens > (1 + MORE_KV) * tokens[one])
        if wrong.any():
            more = int(np.argmax(wrong))
            raise SpecError(
                f"{tokens[more]:,} KV tokens with {slots[more]} slots of rank {rank[more]} are more than the "
                f"{tokens[one]:,} with {slots[one]} slots of rank {rank[one]} in row {one + 1}; expected fewer, "
                "because slots take memory",
                f"memory row {more + 1}: kv_cache_tokens",
            )


def _check_slots(setup: Setup, table: pl.DataFrame) -> Iterator[str]:
    """Compare the memory that further slots take with the shapes of the adapters' matrices, at each rank."""
    model = setup.model
    started = table.with_row_index("row", offset=1).filter((pl.col("kv_cache_tokens") > 0) & (pl.col("max_loras") > 0))
    for (rank,), same in started.sort("max_loras").group_by("max_lora_rank", maintain_order=True):
        few, many = same.row(0, named=True), same.row(-1, named=True)
        expected = (many["max_loras"] - few["max_loras"]) * float(str(rank)) * model.adapter_bytes_per_rank
        if expected < VISIBLE_SLOTS * few["kv_cache_tokens"] * model.kv_bytes_per_token:
            continue
        taken = (few["kv_cache_tokens"] - many["kv_cache_tokens"]) * model.kv_bytes_per_token
        found = (
            f"from {few['max_loras']} to {many['max_loras']} slots of rank {rank} (rows {few['row']} and "
            f"{many['row']}) the KV cache shrinks by {taken / GIB:.2f} GiB, where the matrices of these slots take "
            f"{expected / GIB:.2f} GiB"
        )
        if taken < LEAST_SLOT * expected:
            raise SpecError(
                f"{found}; expected at least {LEAST_SLOT:.0%} of it: check the columns and the model's shapes",
                f"memory row {many['row']}: kv_cache_tokens",
            )
        if not SMALL_SLOT < taken / expected < LARGE_SLOT:
            yield f"memory: {found}: check the model's shapes"
