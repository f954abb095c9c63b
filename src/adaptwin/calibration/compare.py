"""compare: simulate measured runs, and set the twin's figures beside the measured ones, run by run."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import joblib
import polars as pl

from adaptwin.calibration.measurements import MeasuredRun
from adaptwin.profile.profile import Profile, ProfileError, Regime, Spread, as_profile
from adaptwin.twin.compilation import compile_twin
from adaptwin.twin.run import Run
from adaptwin.twin.simulate import simulate

ENOUGH_REQUESTS = 60_000  # requests to simulate in all; their mean length is then known to half a percent
FEWEST_FOR_SPREAD = 5  # runs of a regime
FIGURES = {"throughput": "throughput", "itl": "itl_mean", "ttft": "ttft_p50"}
FEWEST_REPEATS, MOST_REPEATS = 3, 12
DEEP_OVERLOAD = 2000  # mean waiting requests above which the client, not the server, determines the measured TTFT


def rerun(profile: Profile, measured: MeasuredRun) -> Run:
    """Simulate a measured run several times, a short one more often, so that no single draw of requests dominates."""
    expected = max(1.0, measured.workload.rate * measured.workload.duration)
    return simulate(
        profile,
        measured.server,
        measured.workload,
        max_in_flight=measured.max_in_flight,
        scrape_every=measured.scrape_every,
        repeats=max(FEWEST_REPEATS, min(MOST_REPEATS, round(ENOUGH_REQUESTS / expected))),
    )


def compare(profile: Profile | str | Path, runs: Sequence[MeasuredRun], *, jobs: int = -1) -> pl.DataFrame:
    """Simulate measured runs; return a row per run, with each figure as measured (``real_``) and simulated (``twin_``).

    Args:
        profile: The profile to simulate with, or its name or path.
        runs: The measured runs.
        jobs: Number of threads; -1 is one per core.
    """
    loaded = as_profile(profile)
    compile_twin()
    simulated = joblib.Parallel(n_jobs=jobs, prefer="threads")(joblib.delayed(rerun)(loaded, run) for run in runs)
    rows = [_comparison(real, twin) for real, twin in zip(runs, simulated, strict=True)]
    return pl.DataFrame(rows, infer_schema_length=None)


def profile_error(rows: pl.DataFrame) -> ProfileError:
    """Errors of the rows of `compare`, in per cent: means, and the median for TTFT."""
    off = {figure: (_ratios(rows, name) - 1).abs() * 100 for figure, name in FIGURES.items()}
    return ProfileError(
        runs=len(rows),
        throughput=round(_float(off["throughput"].mean()), 2) if len(off["throughput"]) else 100.0,
        itl=round(_float(off["itl"].mean()), 2) if len(off["itl"]) else None,
        ttft=round(_float(off["ttft"].median()), 2) if len(off["ttft"]) else None,
        starvation=round(100 * _float((rows["twin_starved"] == rows["real_starved"]).mean()), 2),
    )


def spreads(rows: pl.DataFrame) -> tuple[Spread, ...]:
    """Spread of real runs around the twin by the regime that the twin assigns them to; rows are those of `compare`."""
    found = []
    for regime in get_args(Regime):
        part = rows.filter(pl.col("regime") == regime)
        if len(part) >= FEWEST_FOR_SPREAD:
            of = {figure: _spread(part, name) for figure, name in FIGURES.items()}
            throughput = of.pop("throughput")
            if throughput is not None:
                found.append(Spread(regime=regime, runs=len(part), throughput=throughput, **of))
    return tuple(found)


def _spread(rows: pl.DataFrame, figure: str) -> float | None:
    """Root mean square of the logarithm of twin over real; None if too few runs have the figure."""
    logs = _ratios(rows, figure).log()
    return round(_float((logs**2).mean()) ** 0.5, 4) if len(logs) >= FEWEST_FOR_SPREAD else None


def _ratios(rows: pl.DataFrame, figure: str) -> pl.Series:
    """Ratio of twin to real in the runs that have the figure in both; TTFT only outside deep overload."""
    rows = rows.filter(~pl.col("deep_overload")) if figure == "ttft_p50" else rows
    ratio = (rows[f"twin_{figure}"] / rows[f"real_{figure}"]).cast(pl.Float64).drop_nulls()
    return ratio.filter(ratio.is_finite() & (ratio > 0))


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _comparison(real: MeasuredRun, twin: Run) -> dict[str, object]:
    return {
        "name": real.name,
        "max_loras": real.server.max_loras,
        "max_lora_rank": real.server.max_lora_rank,
        "adapters": len(real.workload),
        "rate": real.workload.rate,
        "regime": twin.regime,
        "deep_overload": (real.mean_waiting or 0.0) > DEEP_OVERLOAD,
        "real_starved": real.starved,
        "twin_starved": twin.starved,
        "real_throughput": real.throughput,
        "twin_throughput": twin.throughput,
        "real_itl_mean": real.itl_mean,
        "twin_itl_mean": twin.itl.mean,
        "real_itl_p99": real.itl_p99,
        "twin_itl_p99": twin.itl.p99,
        "real_tpot_mean": real.tpot_mean,
        "twin_tpot_mean": twin.tpot.mean,
        "twin_preemptions": twin.preemptions,
        "twin_kv_per_request": twin.kv_usage * twin.kv_cache_tokens / max(twin.mean_running, 1e-9),
        "real_ttft_p50": real.ttft_p50,
        "twin_ttft_p50": twin.ttft.p50,
    }
