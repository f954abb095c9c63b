"""The measured runs of the H100 data set (vLLM 0.8.5), read into adaptwin's own types."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from adaptwin import Adapter, Lengths, Server, Workload
from adaptwin.calibration.measurements import MeasuredRun

PROJECT = Path(__file__).resolve().parents[1]
DATA = PROJECT.parent / "shared" / "data" / "vllm-0.8.5-h100"
MODELS = {
    "llama-3.1-8b-instruct": "h100-64gb-llama-3.1-8b-instruct",
    "qwen-2.5-7b-instruct": "h100-64gb-qwen-2.5-7b-instruct",
}
SCRAPE_EVERY = 2.0  # seconds that the authors' sampler slept between scrapes of /metrics
CLIENT_CONNECTIONS = 26_000  # most requests in the server: each needs a TCP connection, out of 28,000 ephemeral ports


def require_data() -> None:
    """Exit with a clear message if the measurements are missing."""
    if not DATA.is_dir():
        raise SystemExit(f"the measurements are missing: {DATA} is not a folder")


def all_rows(model: str) -> pl.DataFrame:
    """Read the table of runs of a model, including failed ones."""
    return pl.read_parquet(DATA / "runs.parquet").filter(pl.col("model") == model)


def measured_runs(model: str, split: str) -> list[MeasuredRun]:
    """Read the completed runs of a model; the split is ``calibration``, ``validation`` or ``all``."""
    table = all_rows(model).filter(pl.col("completed_benchmark") & pl.col("median_ttft_ms").is_not_null())
    if split != "all":
        table = table.filter(pl.col("split") == split)
    pauses = scrape_pauses()
    return [_measured(row, pauses.get(row["run_id"])) for row in table.iter_rows(named=True)]


def _measured(row: dict[str, Any], pause: float | None) -> MeasuredRun:
    return MeasuredRun(
        name=row["run_id"],
        server=Server(
            max_loras=row["max_loras"],
            max_lora_rank=row["max_lora_rank"],
            max_cpu_loras=max(row["max_cpu_loras"], row["max_loras"]),
            max_num_seqs=2048,
            max_num_batched_tokens=2048,
            kv_cache_tokens=int(row["kv_cache_tokens"]),
        ),
        workload=_workload(row),
        max_in_flight=CLIENT_CONNECTIONS,
        scrape_every=SCRAPE_EVERY,
        throughput=row["total_throughput_tps"],
        starved=row["starved"],
        itl_mean=row["mean_itl_ms"] / 1e3,
        itl_p99=row["p99_itl_ms"] / 1e3,
        tpot_mean=row["mean_tpot_ms"] / 1e3,
        ttft_p50=row["median_ttft_ms"] / 1e3,
        mean_waiting=row["mean_waiting"],
        scrape_pause=pause,
    )


def _workload(row: dict[str, Any]) -> Workload:
    """Return the workload of a run: adapter i has rank ``ranks[i mod K]`` and rate ``rates[i mod L]``.

    Rates are scaled to the requests that were sent. Where these were not counted, each adapter is taken to have sent
    one request more than its rate says, because the client sends the first one at once; the counted runs confirm this.
    """
    ranks = [int(rank) for rank in row["ranks"].split(",")]
    rates = [float(rate) for rate in row["rates"].split(",")]
    counted = row["arrivals_source"] == "dt_log_exact"
    arrivals = row["arrivals"] if counted else row["arrivals_expected"] + row["served_adapters"]
    sent = arrivals / row["arrivals_expected"]
    return Workload(
        adapters=[
            Adapter(name=f"dummy-{i}", rank=ranks[i % len(ranks)], rate=rates[i % len(rates)] * sent)
            for i in range(row["served_adapters"])
        ],
        lengths=_lengths(round(row["pool_mean_input"]), round(row["pool_mean_output"])),
        duration=row["duration_s"],
    )


@lru_cache
def _lengths(mean_input: int, mean_output: int) -> Lengths:
    """Scale ShareGPT's lengths to the means that the model's own tokenizer gives."""
    shape = Lengths.named("sharegpt")
    table = shape.table()
    inputs = np.maximum(1, np.rint(table.input * (mean_input / shape.mean_input)))
    outputs = np.maximum(1, np.rint(table.output * (mean_output / shape.mean_output)))
    return Lengths.empirical(zip(inputs, outputs, strict=True), are_limits=True)


@lru_cache
def scrape_pauses() -> dict[str, float]:
    """Return the mean pause of scrapes in the last quarter of a run, in seconds, by run.

    A pause is the time by which a round of the sampler was longer than its sleep.
    """
    series = pl.read_parquet(DATA / "timeseries.parquet").sort("run_id", "t_s")
    late = (
        series.with_columns(round=pl.col("t_s").diff().over("run_id"))
        .filter(pl.col("t_s").is_between(2700, 3590))
        .group_by("run_id")
        .agg(pl.col("round").mean() - SCRAPE_EVERY)
    )
    return dict(late.with_columns(pl.col("round").clip(lower_bound=0.0)).iter_rows())
