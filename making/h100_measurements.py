"""Convert the H100 data set to folders that `adaptwin fit` reads: one per model, with the calibration runs only."""

from pathlib import Path

import polars as pl

from adaptwin.calibration.measurements import MEASUREMENT_COLUMNS, Measurements, Setup
from adaptwin.profile.base_costs import Peaks, PeakShares, base_costs
from adaptwin.profile.model_shape import ModelShape
from h100_runs import DATA, MODELS, measured_runs

MOST_SEQS = 2048  # of the servers whose KV tokens were logged
GPU_GIB = 63.43  # from the log messages of the measured servers
SHAPES = {
    "llama-3.1-8b-instruct": ModelShape(
        name="meta-llama/Llama-3.1-8B-Instruct", hidden=4096, layers=32, heads=32, kv_heads=8, head_dim=128,
        intermediate=14336, vocabulary=128256, max_model_len=131072, lora_embeddings=True,
        early_stop_share=0.0107, early_stop_reach=0.4,
    ),
    "qwen-2.5-7b-instruct": ModelShape(
        name="Qwen/Qwen2.5-7B-Instruct", hidden=3584, layers=28, heads=28, kv_heads=4, head_dim=128,
        intermediate=18944, vocabulary=152064, max_model_len=32768,
        early_stop_share=0.055, early_stop_reach=0.29,
    ),
}  # fmt: skip
SOURCE = "FerranAgulloLopez/GPULLMAdapterOptimization (arXiv 2508.08343): micro-benchmarks and calibration runs"
PROMPT = 5  # tokens of the one-word prompts
LORA_BATCH = {"llama-3.1-8b-instruct": 220, "qwen-2.5-7b-instruct": 250}  # max_num_seqs of the runs with a token log


# The GPU of MareNostrum 5 is not on NVIDIA's data sheets. Its peaks are assumed: 2.02 TB/s, and the arithmetic of the
# H100 SXM. The shares of them are those of the operation tables of other GPUs (docs/measured/step-law.md). One GPU
# cannot separate the constants that follow from them from the time of the host.
PEAKS = Peaks(bandwidth=2.02e12, flops=989e12)
SHARES = PeakShares(weights=0.84, cache=0.9, activations=1.0, linear=0.75, attention=0.6)


def measurements(model: str) -> Measurements:
    """Return everything to which a model's profile is fitted."""
    return Measurements(
        setup=Setup(
            name=MODELS[model],
            hardware="NVIDIA H100 64 GB (MareNostrum 5)",
            gpu_gib=GPU_GIB,
            max_num_seqs=MOST_SEQS,
            model=SHAPES[model],
            vllm_version="0.8.5",
            source=SOURCE,
            start=MODELS[model],
            stated=base_costs(SHAPES[model], PEAKS, SHARES),
        ),
        memory=_memory(model),
        loads=_loads(model),
        planning=_planning(model),
        steps=_steps(model),
        runs=tuple(measured_runs(model, "calibration")),
    )


def _memory(model: str) -> pl.DataFrame:
    table = pl.read_parquet(DATA / "kv_memory.parquet").filter(
        (pl.col("model") == model) & pl.col("max_loras").is_not_null() & (pl.col("max_loras") > 0)
    )
    return table.select(
        pl.col("max_loras").cast(pl.Int64),
        pl.col("max_lora_rank").cast(pl.Int64),
        pl.col("kv_cache_tokens").fill_null(0).cast(pl.Int64),
    )


def _micro(model: str) -> pl.DataFrame:
    return pl.read_parquet(DATA / "micro_runs.parquet").filter(pl.col("model") == model)


def _loads(model: str) -> pl.DataFrame:
    """Return the loads of the experiment that loads one adapter after the other, without the server's start-up.

    Start-up makes the first fifty loads from the host.
    """
    runs = (
        _micro(model)
        .filter(pl.col("experiment") == "predictor_loading")
        .select("run_id", "adapter_rank", "max_lora_rank")
    )
    events = pl.read_parquet(DATA / "adapter_loads.parquet").with_columns(pl.col("run_id").cast(pl.String))
    return (
        events.join(runs, on="run_id", suffix="_of_run")
        .with_columns(nth=pl.int_range(pl.len()).over("run_id", "load_kind"))
        .filter((pl.col("load_kind") == "disk_to_cpu") | (pl.col("nth") >= 50))
        .select(
            source=pl.when(pl.col("load_kind") == "disk_to_cpu").then(pl.lit("disk")).otherwise(pl.lit("host")),
            rank=pl.col("adapter_rank").cast(pl.Int64),
            max_lora_rank=pl.col("max_lora_rank").cast(pl.Int64),
            seconds=pl.col("load_time_ms") / 1e3,
        )
    )


def _logged(model: str, experiment: str) -> pl.DataFrame:
    """Return the steps inside the benchmark window of an experiment, with its settings."""
    settings = _micro(model).filter(pl.col("experiment") == experiment)
    columns = ("run_id", "max_loras", "max_lora_rank", "max_num_seqs", "synthetic_output_tokens")
    log = pl.read_parquet(DATA / "engine_steps.parquet").with_columns(pl.col("run_id").cast(pl.String))
    return log.join(settings.select(*columns), on="run_id").filter(
        pl.col("in_window") & (pl.col("gap_to_next_ms") < 1000)
    )


def _planning(model: str) -> pl.DataFrame:
    """Return the scheduler's time for steady decodes, with as many requests as the server may run."""
    parts = [
        _logged(model, experiment).select(
            running=pl.col("max_num_seqs").cast(pl.Int64),
            waiting=pl.lit(0, dtype=pl.Int64),
            seconds=pl.col("sched_us") / 1e6,
        )
        for experiment in ("default_latency_decode",)
    ]
    alone = _logged(model, "find_available_gpu_memory").select(
        running=pl.lit(1, dtype=pl.Int64), waiting=pl.lit(0, dtype=pl.Int64), seconds=pl.col("sched_us") / 1e6
    )
    return pl.concat([*parts, alone])


def _steps(model: str) -> pl.DataFrame:
    """Return medians of steady steps where the log has no tokens, and groups of similar steps where it has them."""
    parts = [_alone(model), _one_adapter(model), _without_lora(model), _with_lora(model)]
    if model.startswith("llama"):
        parts.append(_full_prefill(model))
    return pl.concat([part.select(*STEP_COLUMNS) for part in parts])


STEP_COLUMNS = MEASUREMENT_COLUMNS["steps"]
SECONDS = (pl.col("gap_to_next_ms") / 1e3).alias("seconds")


def _point(table: pl.DataFrame, **columns: object) -> pl.DataFrame:
    return table.with_columns(**columns).cast(STEP_COLUMNS, strict=False)


def _alone(model: str) -> pl.DataFrame:
    """Return steps of one request to the base model, on servers with 8 to 384 empty slots."""
    log = _logged(model, "find_available_gpu_memory").group_by("max_loras", "max_lora_rank").agg(SECONDS.median())
    one = pl.lit(1.0)
    return _point(log, tokens=one, context=pl.lit(100.0), adapters=pl.lit(0.0), running=one)


def _one_adapter(model: str) -> pl.DataFrame:
    """Return steps of one request at a time, each with another adapter, on a server with one slot."""
    log = _logged(model, "predictor_loading").filter(pl.col("unique_adapters") == 1)
    log = log.group_by("max_loras", "max_lora_rank").agg(SECONDS.median())
    one = pl.lit(1.0)
    return _point(log, tokens=one, context=pl.lit(140.0), adapters=one, running=one)


def _without_lora(model: str) -> pl.DataFrame:
    """Return decode steps of 50 to 1,000 requests at once, 100 to 400 tokens long, without LoRA."""
    log = (
        _logged(model, "default_latency_decode")
        .group_by("max_num_seqs", "synthetic_output_tokens")
        .agg(SECONDS.median())
    )
    batch, zero = pl.col("max_num_seqs"), pl.lit(0)
    return _point(
        log,
        max_loras=zero,
        max_lora_rank=pl.lit(16),
        tokens=batch,
        context=batch * (PROMPT + pl.col("synthetic_output_tokens") / 2),
        adapters=zero,
        running=batch,
    )


def _full_prefill(model: str) -> pl.DataFrame:
    """Return steps that are full of prefill, without LoRA."""
    log = _logged(model, "default_latency_prefill").select(SECONDS.median())
    return _point(
        log,
        max_loras=pl.lit(0),
        max_lora_rank=pl.lit(16),
        tokens=pl.lit(2048.0),
        context=pl.lit(0.0),
        adapters=pl.lit(0.0),
        running=pl.lit(20.0),
    )


def _with_lora(model: str) -> pl.DataFrame:
    """Return steps with 1 to 300 adapters of rank 8 and 300 slots, averaged over similar steps.

    Tokens beyond a full batch of decodes come from new prompts, each of which replaces a decode.
    """
    log = _logged(model, "latency_overhead_lora").filter(pl.col("batched_tokens").is_not_null())
    batch = LORA_BATCH[model]
    tokens = pl.col("batched_tokens")
    prompts = ((tokens - batch) * PROMPT / (PROMPT - 1)).clip(lower_bound=0)
    decodes = (tokens - prompts).clip(lower_bound=0)
    bins = ((tokens / 40).round().alias("tokens_bin"), (pl.col("unique_adapters") / 10).round().alias("adapters_bin"))
    return (
        _point(
            log.with_columns(SECONDS, *bins),
            tokens=tokens,
            context=decodes * (PROMPT + pl.col("synthetic_output_tokens") / 2),
            adapters=pl.col("unique_adapters"),
            running=decodes + prompts / PROMPT,
        )
        .group_by("max_loras", "max_lora_rank", "synthetic_output_tokens", "tokens_bin", "adapters_bin")
        .agg(
            pl.len().alias("count"),
            pl.col("tokens", "context", "adapters", "running").mean(),
            pl.col("seconds").median(),
        )
        .filter(pl.col("count") >= 4)
        .sort("synthetic_output_tokens", "tokens_bin", "adapters_bin")
    )


def write_folder(model: str, folder: Path) -> Path:
    """Write the folder of a model that `adaptwin fit` reads, and return its path."""
    measurements(model).write(folder / model)
    return folder / model
