"""Tables of a measurement, in the form that `fit` reads."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from adaptwin.calibration.measurements import MEASUREMENT_COLUMNS, MeasuredRun, Measurements, Setup
from adaptwin.live.measured_server import MeasuredServer
from adaptwin.live.micro_result import MicroResult
from adaptwin.profile.profile import Profile


def measurements_of(
    profile: Profile,
    url: str,
    start: str,
    server: MeasuredServer,
    results: Sequence[MicroResult],
    runs: Sequence[MeasuredRun],
) -> Measurements:
    """Return what `fit` takes: medians of the repeats of each micro-benchmark, memory, and runs.

    `start` names the profile, from which comes what was not measured.
    """
    settings = server.server
    medians = list(medians_of(results))
    steps = [
        {
            "max_loras": settings.max_loras,
            "max_lora_rank": settings.max_lora_rank,
            "tokens": result.tokens,
            "context": result.context,
            "adapters": result.adapters,
            "running": result.running,
            "seconds": result.seconds,
        }
        for result in medians
        if result.kind in ("decode", "prefill")
    ]
    loads = [
        {"source": "host", "rank": each.rank, "max_lora_rank": settings.max_lora_rank, "seconds": each.seconds}
        for each in medians
        if each.kind == "swap"
    ]
    memory = []
    if server.determines_memory:
        row = {"max_loras": settings.max_loras, "max_lora_rank": settings.max_lora_rank}
        memory = [{**row, "kv_cache_tokens": server.kv_cache_tokens}]
    token_budget, max_num_seqs = settings.budgets(profile)
    setup = Setup(
        name=f"{profile.name}-measured",
        hardware=profile.hardware,
        gpu_gib=profile.gpu_gib,
        gpu_memory_utilization=server.gpu_memory_utilization,
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=token_budget,
        model=profile.model,
        vllm_version=server.vllm_version,
        source=f"adaptwin measure, {url}",
        start=start,
        price_per_hour=profile.price_per_hour,
    )
    return Measurements(
        setup, _table("memory", memory), _table("loads", loads), None, _table("steps", steps), runs=tuple(runs)
    )


def medians_of(results: Sequence[MicroResult]) -> Iterator[MicroResult]:
    """Yield each micro-benchmark that told a time, with the median of its repeats."""
    by_name: dict[str, list[MicroResult]] = {}
    for result in results:
        if result.seconds is not None:
            by_name.setdefault(result.name, []).append(result)
    for rows in by_name.values():
        yield rows[0]._replace(
            seconds=statistics.median(row.seconds or 0.0 for row in rows),
            context=statistics.median(row.context for row in rows),
        )


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame | None:
    return pl.DataFrame(rows, schema=MEASUREMENT_COLUMNS[name]) if rows else None
