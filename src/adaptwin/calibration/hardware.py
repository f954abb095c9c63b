"""Fits of memory, adapter loads and planning, the parts of a profile that are each fitted to a table of their own."""

from typing import NamedTuple

import numpy as np
import polars as pl

from adaptwin.calibration.least_squares import nonnegative
from adaptwin.calibration.measurements import Setup
from adaptwin.errors import SpecError
from adaptwin.profile.load_cost import LoadCost
from adaptwin.profile.memory import GIB, MemoryModel
from adaptwin.profile.scheduler_cost import SchedulerCost
from adaptwin.rounding import rounded


class Residual(NamedTuple):
    """How far a part of the fit is from its measurements: absolute errors in per cent."""

    part: str
    points: int
    mean: float
    worst: float


def residual(part: str, fitted: np.ndarray, measured: np.ndarray) -> Residual:
    """Summarise the relative errors of fitted values, in per cent."""
    error = 100 * np.abs(np.asarray(fitted, float) / np.asarray(measured, float) - 1)
    return Residual(part, len(error), float(error.mean()), float(error.max()))


def fit_memory(table: pl.DataFrame, setup: Setup) -> tuple[MemoryModel, Residual]:
    """Fit the memory of activations and slots: KV tokens fall linearly with slots and with slots x rank.

    Only servers that started are used, and the relative error of their KV tokens is minimised. The bytes of a KV token
    are those of the model's shapes.

    Raises:
        SpecError: No server started, or one had more KV tokens than fit beside the weights.
    """
    started = table.filter(pl.col("kv_cache_tokens") > 0)
    if started.is_empty():
        raise SpecError("no server started, so the size of the KV cache is unknown", "memory: kv_cache_tokens")
    slots, rank, tokens = (started[name].to_numpy().astype(float) for name in table.columns)
    budget = setup.gpu_gib * GIB * setup.gpu_memory_utilization - setup.model.weights_bytes
    kv_bytes = setup.model.kv_bytes_per_token
    used = budget - tokens * kv_bytes  # activations + slots x (slot_bytes + slot_bytes_per_rank x rank)
    if (used <= 0).any():
        most = int(budget / kv_bytes)
        raise SpecError(
            f"{int(tokens.max()):,} tokens are more than fit beside the weights ({most:,}): check gpu_gib, "
            "gpu_memory_utilization and the model's shapes",
            "memory: kv_cache_tokens",
        )
    columns = np.stack([np.ones(len(slots)), slots, slots * rank], axis=1)
    activations, per_slot, per_rank = nonnegative(columns, used, weight=used / (tokens * kv_bytes))
    memory = MemoryModel(
        gpu_bytes=setup.gpu_gib * GIB,
        weights_bytes=setup.model.weights_bytes,
        activation_bytes=round(activations),
        kv_bytes_per_token=kv_bytes,
        slot_bytes=round(per_slot),
        slot_bytes_per_rank=round(per_rank),
    )
    fitted = [
        memory.kv_cache_tokens(
            max_loras=int(s), max_lora_rank=int(r), gpu_memory_utilization=setup.gpu_memory_utilization
        )
        for s, r in zip(slots, rank, strict=True)
    ]
    return memory, residual("KV cache tokens", np.array(fitted), tokens)


def fit_loads(table: pl.DataFrame, start: LoadCost) -> tuple[LoadCost, list[Residual]]:
    """Fit load costs to the median seconds by source, rank and padded rank.

    A source that was not measured, host or disk, keeps its costs of `start`.

    Raises:
        SpecError: The median seconds of a measured source are 0.
    """
    medians = table.group_by("source", "rank", "max_lora_rank").agg(pl.col("seconds").median())
    constants, residuals = start.model_dump(), []
    for source, names in (
        ("host", ("gpu_base", "gpu_per_rank", "gpu_per_padding")),
        ("disk", ("disk_base", "disk_per_rank")),
    ):
        part = medians.filter(pl.col("source") == source).sort("rank", "max_lora_rank")
        if part.is_empty():
            continue
        if (part["seconds"] <= 0).any():
            raise SpecError(f"the median load from {source} took 0 s; it must take longer", "loads: seconds")
        rank, padded, seconds = (part[name].to_numpy().astype(float) for name in ("rank", "max_lora_rank", "seconds"))
        columns = np.stack([np.ones(len(rank)), rank, padded - rank], axis=1)[:, : len(names)]
        solution = nonnegative(columns, seconds)
        constants.update({name: rounded(x, 4) for name, x in zip(names, solution, strict=True)})
        residuals.append(residual(f"adapter loads from {source}", columns @ solution, seconds))
    return LoadCost(**constants), residuals


def fit_planning(table: pl.DataFrame, start: SchedulerCost) -> tuple[SchedulerCost, Residual]:
    """Fit the scheduler's seconds per step to the requests scheduled, from rows without waiting requests.

    The cost of waiting requests is that of `start`; it is fitted later, to runs.

    Raises:
        SpecError: No row is without waiting requests, or their median seconds are 0.
    """
    calm = table.filter(pl.col("waiting") == 0).group_by("running").agg(pl.col("seconds").median()).sort("running")
    if calm.is_empty() or (calm["seconds"] <= 0).any():
        raise SpecError("needs rows with waiting 0 and a median above 0 s", "planning: seconds")
    running, seconds = calm["running"].to_numpy().astype(float), calm["seconds"].to_numpy()
    columns = np.stack([np.ones(len(running)), running], axis=1)
    base, per_running = nonnegative(columns, seconds)
    cost = SchedulerCost(base=rounded(base, 4), per_running=rounded(per_running, 4), per_waiting=start.per_waiting)
    return cost, residual("planning a step", columns @ np.array([base, per_running]), seconds)
