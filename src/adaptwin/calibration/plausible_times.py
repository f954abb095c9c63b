"""Plausible times: compare the tables `loads`, `planning` and `steps` with what hardware can do at all.

The limits are wide: they hold for every GPU that vLLM runs on, and for groups of them, and find times that are given in
another unit. The fastest memory of GPUs to date is 8 TB/s at 180 GiB (B200) and 1.8 TB/s at 32 GiB (RTX 5090), both
below 60 GB/s per GiB; the fastest arithmetic is 4.5 PFLOP/s at 180 GiB, or 25 TFLOP/s per GiB.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from adaptwin.arrays import Array
from adaptwin.calibration.measurements import Measurements, Setup
from adaptwin.calibration.plausible_rows import PlausibleLimits, require_plausible, require_rows
from adaptwin.errors import SpecError
from adaptwin.profile.model_shape import ModelShape

FASTEST_READ = 100e9  # bytes/s per GiB of GPU memory
FASTEST_ARITHMETIC = 50e12  # operations/s per GiB of GPU memory
SLOWEST_READ, SLOWEST_ARITHMETIC = 20e9, 1e12  # bytes/s and operations/s of a whole GPU
SHORTEST_STEP, LONGEST_EXTRA = 50e-6, 1.0  # seconds: launching kernels; all that a step does beside the base model
FASTEST_LINK, SLOWEST_LINK, LONGEST_EXTRA_LOAD = 500e9, 0.1e9, 2.0  # host memory to GPU: bytes/s, bytes/s, seconds
FASTEST_DISK, SLOWEST_DISK, LONGEST_EXTRA_READ = 200e9, 0.01e9, 10.0  # disk to host memory, as above
SHORTEST_PLAN, LONGEST_PLAN = (1e-6, 2e-8, 0.0), (10e-3, 100e-6, 10e-6)  # seconds, per running and waiting request
SPREAD_OF_EQUALS = 1.5  # upper over lower quartile of equal rows, above which they contradict each other
MOST_CONTRADICTIONS = 0.2  # share of the settings with several rows that may contradict each other


def check_times(measurements: Measurements) -> list[str]:
    """Return one sentence for everything that is doubtful about the times in the tables.

    Raises:
        SpecError: A value is not plausible, or rows contradict each other; names the row.
    """
    setup, doubts = measurements.setup, []
    if measurements.loads is not None:
        doubts += _check_loads(setup.model, measurements.loads)
    if measurements.planning is not None:
        doubts += _check_planning(measurements.planning)
    if measurements.steps is not None:
        doubts += _check_steps(setup, measurements.steps)
    return doubts


def _check_loads(model: ModelShape, table: pl.DataFrame) -> list[str]:
    require_rows(table, "loads", "rank", pl.col("rank") > 0, "at least 1")
    fits = pl.col("rank") <= pl.col("max_lora_rank")
    require_rows(table, "loads", "max_lora_rank", fits, "at least the rank of the adapter that was loaded")
    size = table["rank"].to_numpy() * model.adapter_bytes_per_rank
    padded = table["max_lora_rank"].to_numpy() * model.adapter_bytes_per_rank
    from_host = (table["source"] == "host").to_numpy()
    limits = PlausibleLimits(
        np.where(from_host, size / FASTEST_LINK, size / FASTEST_DISK),
        np.where(from_host, LONGEST_EXTRA_LOAD + padded / SLOWEST_LINK, LONGEST_EXTRA_READ + size / SLOWEST_DISK),
        "the adapter's bytes over the speed of the link, with a wide margin",
    )
    settings = ["source", "rank", "max_lora_rank"]
    return [*require_plausible(table, "loads", "seconds", limits), *_check_equals(table, "loads", settings)]


def _check_planning(table: pl.DataFrame) -> list[str]:
    require_rows(table, "planning", "running", pl.col("running") > 0, "at least 1")
    counts = np.stack([np.ones(len(table)), table["running"].to_numpy(), table["waiting"].to_numpy()], axis=1)
    limits = PlausibleLimits(
        counts @ np.array(SHORTEST_PLAN), counts @ np.array(LONGEST_PLAN), "what vLLM's scheduler takes"
    )
    settings = ["running", "waiting"]
    return [*require_plausible(table, "planning", "seconds", limits), *_check_equals(table, "planning", settings)]


def _check_steps(setup: Setup, table: pl.DataFrame) -> list[str]:
    _check_contents(table)
    tokens = table["tokens"].to_numpy().astype(float)
    extra = LONGEST_EXTRA * (1 + table["adapters"].to_numpy() / 100 + table["max_loras"].to_numpy() / 1000)
    slowest = setup.model.weights_bytes / SLOWEST_READ + _operations(setup.model, tokens) / SLOWEST_ARITHMETIC
    limits = PlausibleLimits(
        shortest_step(setup, tokens), slowest + extra, "reading the weights and multiplying them with the tokens"
    )
    settings = ["max_loras", "max_lora_rank", "tokens", "context", "adapters", "running"]
    doubts = [*require_plausible(table, "steps", "seconds", limits), *_check_equals(table, "steps", settings)]
    if (table["adapters"] > table["running"]).any():
        doubts.append("steps: rows have more adapters than running requests: check the columns")
    longest = setup.model.max_model_len
    if (table["context"] > 1.01 * longest * table["running"]).any():
        doubts.append(f"steps: rows have a context of more than {longest:,} tokens (max_model_len) per running request")
    return doubts


def shortest_step(setup: Setup, tokens: Array) -> Array:
    """Return the seconds below which no GPU computes a step of this many tokens."""
    weights = setup.model.weights_bytes / (FASTEST_READ * setup.gpu_gib)
    arithmetic = _operations(setup.model, tokens) / (FASTEST_ARITHMETIC * setup.gpu_gib)
    return np.asarray(np.maximum(np.maximum(weights, arithmetic), SHORTEST_STEP))


def _operations(model: ModelShape, tokens: Array) -> Array:
    """Multiplications and additions of a step, two for each weight and token."""
    return 2.0 * model.weights * tokens


def _check_contents(table: pl.DataFrame) -> None:
    """Raise `SpecError` for a step whose contents contradict each other, as after columns were swapped."""
    fits = pl.col("adapters") <= pl.col("max_loras")
    checks = (
        ("tokens", pl.col("tokens") >= 1, "at least 1"),
        ("running", pl.col("running") >= 1, "at least 1"),
        ("tokens", pl.col("tokens") >= 0.99 * pl.col("running"), "at least the number of running requests"),
        ("adapters", fits, "at most max_loras: a step cannot hold more adapters than slots"),
    )
    for column, good, expected in checks:
        require_rows(table, "steps", column, good, expected)


def _check_equals(table: pl.DataFrame, name: str, settings: list[str]) -> Iterator[str]:
    """Compare the seconds of rows with equal settings, by their quartiles, so that rare stalls do not count."""
    quartiles = (
        table.with_row_index("row", offset=1)
        .group_by(settings, maintain_order=True)
        .agg(
            pl.len().alias("rows"),
            pl.col("row").first(),
            pl.col("seconds").quantile(0.25, "linear").alias("low"),
            pl.col("seconds").quantile(0.75, "linear").alias("high"),
        )
        .filter(pl.col("rows") > 1)
    )
    apart = quartiles.filter(pl.col("high") > SPREAD_OF_EQUALS * pl.col("low"))
    if apart.is_empty():
        return
    first = apart.sort(pl.col("high") / pl.col("low"), descending=True).row(0, named=True)
    found = (
        f"{first['rows']} rows have the same {', '.join(settings)}, but half of their seconds lie outside "
        f"{first['low']:.4g} to {first['high']:.4g} s; {len(apart)} of {len(quartiles)} settings with several rows are "
        "like this"
    )
    if len(apart) > MOST_CONTRADICTIONS * len(quartiles):
        raise SpecError(
            f"{found}; expected quartiles within a factor of {SPREAD_OF_EQUALS:g}: other settings belong into other "
            "folders",
            f"{name} row {first['row']}: seconds",
        )
    yield f"{name} row {first['row']}: {found}"
