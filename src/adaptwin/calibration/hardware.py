"""Fits of memory, adapter loads and planning, the parts of a profile that are each fitted to a table of their own."""

from typing import Generic, NamedTuple, TypeVar

import numpy as np
import polars as pl

from adaptwin.calibration.determination import determined
from adaptwin.calibration.measurements import Setup
from adaptwin.calibration.residuals import (
    LOAD_BOUND,
    MEMORY_BOUND,
    PLANNING_BOUND,
    Residual,
    require_close,
    residual,
)
from adaptwin.calibration.undetermined import Undetermined, undetermined
from adaptwin.errors import SpecError
from adaptwin.profile.load_cost import LoadCost
from adaptwin.profile.memory import GIB, MemoryModel
from adaptwin.profile.scheduler_cost import SchedulerCost

MEMORY_NOISE = 0.003  # least relative error of the KV tokens of a server
LOAD_NOISE = 0.02  # least relative error of the median of similar loads
PLANNING_NOISE = 0.02  # least relative error of the scheduler's median time
MEMORY_CONSTANTS = ("activation_bytes", "slot_bytes", "slot_bytes_per_rank")
ACTIVATION_ERROR = 4 * GIB  # plausible error of what the profiling step and the libraries take, by the shapes
SLOT_RANKS = 8  # plausible bytes of a slot beside its matrices, as ranks of these matrices
SHAPES_ERROR = 0.05  # plausible relative error of the bytes per rank that the model's shapes give
PLANNING_CONSTANTS = ("base", "per_running")
LOAD_CONSTANTS = {"host": ("gpu_base", "gpu_per_rank", "gpu_per_padding"), "disk": ("disk_base", "disk_per_rank")}


FittedCosts = TypeVar("FittedCosts")


class FittedPart(NamedTuple, Generic[FittedCosts]):
    """One part of a profile, fitted to its table."""

    costs: FittedCosts
    residuals: list[Residual]
    undetermined: list[Undetermined]  # constants that the table does not determine
    doubts: list[str]  # what is doubtful about the fit, one sentence each


def fit_memory(table: pl.DataFrame, setup: Setup) -> FittedPart[MemoryModel]:
    """Fit the memory of activations and slots: KV tokens fall linearly with slots and with slots x rank.

    Only servers that started are used, and the relative error of their KV tokens is minimised. The bytes of a KV token,
    and what the profiling step takes for each token and request, are those of the model's shapes. What the table does
    not determine is derived from the shapes as well: with servers of one rank, the bytes per rank.

    Raises:
        SpecError: No server started, one had more KV tokens than fit beside the weights, or the fit is far from them.
    """
    started = table.filter(pl.col("kv_cache_tokens") > 0)
    if started.is_empty():
        raise SpecError("no server started, so the size of the KV cache is unknown", "memory: kv_cache_tokens")
    slots, rank, tokens = (started[name].to_numpy().astype(float) for name in table.columns)
    shapes, settings = memory_from_shapes(setup), setup.memory_settings
    budget = shapes.gpu_bytes * settings.gpu_memory_utilization - shapes.weights_bytes
    left = budget - tokens * shapes.kv_bytes_per_token
    if (left <= 0).any():
        most = int(budget / shapes.kv_bytes_per_token)
        raise SpecError(
            f"{int(tokens.max()):,} tokens are more than fit beside the weights ({most:,}): check gpu_gib, "
            "gpu_memory_utilization and the model's shapes",
            "memory: kv_cache_tokens",
        )
    step = shapes.graph_bytes + shapes.profiling_bytes(
        max_num_seqs=settings.max_num_seqs, max_num_batched_tokens=settings.max_num_batched_tokens
    )
    used = np.maximum(left - step, 0.0)  # activation_bytes + slots x (slot_bytes + slot_bytes_per_rank x rank)
    start = np.array([getattr(shapes, name) for name in MEMORY_CONSTANTS])
    result = determined(
        np.stack([np.ones(len(slots)), slots, slots * rank], axis=1),
        used,
        weight=used / (tokens * shapes.kv_bytes_per_token),
        start=start,
        scale=np.array([ACTIVATION_ERROR, SLOT_RANKS * start[2], SHAPES_ERROR * start[2]]),
        noise=MEMORY_NOISE,
    )
    constants = {name: float(round(x)) for name, x in zip(MEMORY_CONSTANTS, result.constants, strict=True)}
    memory = shapes.model_copy(update={**constants, "estimated": False})
    fitted = np.array([_kv_cache_tokens(memory, setup, int(s), int(r)) for s, r in zip(slots, rank, strict=True)])
    rows = [f"at max_loras {s:.0f} and max_lora_rank {r:.0f}" for s, r in zip(slots, rank, strict=True)]
    part = "KV cache tokens"
    return FittedPart(
        memory,
        [residual(part, fitted, tokens)],
        undetermined("memory", MEMORY_CONSTANTS, start, result),
        require_close(part, "memory: kv_cache_tokens", fitted, tokens, rows, MEMORY_BOUND),
    )


def _kv_cache_tokens(memory: MemoryModel, setup: Setup, max_loras: int, max_lora_rank: int) -> int:
    return memory.kv_cache_tokens(max_loras=max_loras, max_lora_rank=max_lora_rank, **setup.memory_settings._asdict())


def memory_from_shapes(setup: Setup) -> MemoryModel:
    """Return the memory use that the shapes of the model give, with the settings of the measured servers."""
    shapes, settings = (
        MemoryModel.from_shapes(setup.model, setup.gpu_gib * GIB, setup.vllm_version),
        setup.memory_settings,
    )
    update = {"max_num_seqs": settings.max_num_seqs, "max_num_batched_tokens": settings.max_num_batched_tokens}
    return shapes.model_copy(update=update)


def fit_loads(table: pl.DataFrame, start: LoadCost) -> FittedPart[LoadCost]:
    """Fit load costs to the median seconds by source, rank and padded rank.

    What the table does not determine is that of `start`: the costs of a source that was not measured, and with
    adapters of one rank, the cost of a rank.

    Raises:
        SpecError: The median seconds of a measured source are 0, or the fit is far from them.
    """
    medians = table.group_by("source", "rank", "max_lora_rank").agg(pl.col("seconds").median())
    fitted = FittedPart(start, [], [], [])
    for source, names in LOAD_CONSTANTS.items():
        part = _fit_source(medians.filter(pl.col("source") == source).sort("rank", "max_lora_rank"), source, start)
        update = {name: getattr(part.costs, name) for name in names}
        fitted = FittedPart(
            fitted.costs.model_copy(update=update),
            fitted.residuals + part.residuals,
            fitted.undetermined + part.undetermined,
            fitted.doubts + part.doubts,
        )
    return fitted


def _fit_source(medians: pl.DataFrame, source: str, start: LoadCost) -> FittedPart[LoadCost]:
    """Fit the costs of loads from one source; without loads, all are those of `start`."""
    if not medians.is_empty() and (medians["seconds"] <= 0).any():
        raise SpecError(f"the median load from {source} took 0 s; it must take longer", "loads: seconds")
    names = LOAD_CONSTANTS[source]
    rank, padded, seconds = (medians[name].to_numpy().astype(float) for name in ("rank", "max_lora_rank", "seconds"))
    columns = np.stack([np.ones(len(rank)), rank, padded - rank], axis=1)[:, : len(names)]
    first = np.array([getattr(start, name) for name in names])
    result = determined(columns, seconds, start=first, noise=LOAD_NOISE)
    costs = start.model_copy(update=dict(zip(names, result.written(4), strict=True)))
    unknown = undetermined("load_cost", names, first, result)
    if medians.is_empty():
        return FittedPart(start, [], unknown, [])
    rows = [f"for rank {r:.0f} at max_lora_rank {p:.0f}" for r, p in zip(rank, padded, strict=True)]
    part, fitted = f"adapter loads from {source}", columns @ result.constants
    doubts = require_close(part, "loads: seconds", fitted, seconds, rows, LOAD_BOUND)
    return FittedPart(costs, [residual(part, fitted, seconds)], unknown, doubts)


def fit_planning(table: pl.DataFrame, start: SchedulerCost) -> FittedPart[SchedulerCost]:
    """Fit the scheduler's seconds per step to the requests scheduled, from rows without waiting requests.

    The cost of waiting requests is that of `start`; it is fitted later, to runs.

    Raises:
        SpecError: No row is without waiting requests, their median seconds are 0, or the fit is far from them.
    """
    calm = table.filter(pl.col("waiting") == 0).group_by("running").agg(pl.col("seconds").median()).sort("running")
    if calm.is_empty() or (calm["seconds"] <= 0).any():
        raise SpecError("needs rows with waiting 0 and a median above 0 s", "planning: seconds")
    running, seconds = calm["running"].to_numpy().astype(float), calm["seconds"].to_numpy()
    columns = np.stack([np.ones(len(running)), running], axis=1)
    first = np.array([getattr(start, name) for name in PLANNING_CONSTANTS])
    result = determined(columns, seconds, start=first, noise=PLANNING_NOISE)
    names = PLANNING_CONSTANTS
    costs = start.model_copy(update=dict(zip(names, result.written(4), strict=True)))
    part, fitted = "planning a step", columns @ result.constants
    rows = [f"with {count:.0f} running requests" for count in running]
    return FittedPart(
        costs,
        [residual(part, fitted, seconds)],
        undetermined("scheduler_cost", names, first, result),
        require_close(part, "planning: seconds", fitted, seconds, rows, PLANNING_BOUND),
    )
