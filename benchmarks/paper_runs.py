"""The real runs that the paper's twin predicted: measured, as the paper's twin says, and as adaptwin's twin says."""

import math

import joblib
import polars as pl

from adaptwin import Run, load_profile
from adaptwin.calibration.compare import rerun
from adaptwin.calibration.measurements import MeasuredRun
from adaptwin.twin.compilation import compile_twin
from h100_runs import DATA, MODELS, all_rows, measured_runs

SERVED = 0.9  # a server is starved where it serves less than this share


def played_runs() -> pl.DataFrame:
    """Simulate every completed run of both models; return a row per run, with what the paper's twin says if published.

    Columns are ``real_``, ``paper_`` and ``twin_`` figures: throughput in tokens/s, latencies in seconds. ``ttft`` is
    the mean over finished requests, and ``ttft_counted`` the paper's, in which a request that has not finished counts
    as the whole window. ``completed`` is the share of the arrived requests that finish.
    """
    compile_twin()
    return pl.concat([_of_model(model) for model in MODELS])


def _of_model(model: str) -> pl.DataFrame:
    runs, profile = measured_runs(model, "all"), load_profile(MODELS[model])
    parallel = joblib.Parallel(n_jobs=-1, prefer="threads")
    simulated = parallel(joblib.delayed(rerun)(profile, run) for run in runs)
    twin = pl.DataFrame([_twin_row(real, run) for real, run in zip(runs, simulated, strict=True)])
    return _real_rows(model).join(twin, on="run_id").join(_paper_rows(), on="run_id", how="left")


def _twin_row(real: MeasuredRun, run: Run) -> dict[str, object]:
    unfinished = run.arrived - run.finished
    finished = 0.0 if math.isnan(run.ttft.mean) else run.finished * run.ttft.mean
    return {
        "run_id": real.name,
        "twin_throughput": run.throughput,
        "twin_itl": run.itl.mean,
        "twin_ttft": run.ttft.mean,
        "twin_ttft_counted": (finished + unfinished * run.duration) / max(1, run.arrived),
        "twin_tokens": run.throughput / run.request_rate if run.request_rate else math.nan,
        "twin_completed": run.finished / max(1, run.arrived),
    }


def _real_rows(model: str) -> pl.DataFrame:
    return all_rows(model).select(
        "run_id",
        "model",
        "split",
        "folder_group",
        "ranks",
        "rates",
        "max_loras",
        "total_rate_rps",
        "starved",
        adapters="served_adapters",
        rank="max_lora_rank",
        real_throughput="total_throughput_tps",
        real_itl=pl.col("mean_itl_ms") / 1e3,
        real_ttft=pl.col("mean_ttft_ms") / 1e3,
        real_ttft_counted=pl.col("mean_ttft_ms_incl_uncompleted") / 1e3,
        real_completed=pl.col("completion_ratio"),
        real_tokens=pl.col("mean_input_len_completed") + pl.col("mean_output_len_completed"),
    )


def _paper_rows() -> pl.DataFrame:
    rows = pl.read_parquet(DATA / "paper_twin_predictions.parquet").filter(pl.col("completed_benchmark"))
    return rows.select(
        "run_id",
        paper_throughput="dt_total_throughput",
        paper_corrected="dt_total_throughput_len_corrected",
        paper_itl=pl.col("dt_itl") / 1e3,
        paper_ttft=pl.col("dt_ttft_completed_ms") / 1e3,
        paper_ttft_counted=pl.col("dt_ttft") / 1e3,
        paper_completed=pl.col("dt_finished_requests") / pl.col("dt_arrivals"),
        paper_tokens=pl.col("dt_mean_input_len") + pl.col("dt_mean_output_len"),
    )
