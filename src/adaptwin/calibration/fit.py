"""fit: the step cost and request latency that make the twin agree with measured runs.

Gauss-Newton through the twin: residuals are logarithms of twin over real - throughput, mean and 99th percentile of
ITL, median TTFT outside deep overload - each over the error we would be content with, with Huber weights so that a few
odd runs do not decide. Every constant stays at or above zero. Draws are the same at every evaluation.
"""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from adaptwin.calibration.compare import compare
from adaptwin.calibration.measurements import MeasuredRun
from adaptwin.profile.profile import Profile
from adaptwin.profile.step_cost import StepCost

# Size of each constant on the GPUs of 2025, seconds: the unit in which the search takes its steps.
UNITS = {
    "base": 1e-2,
    "per_token": 3e-5,
    "per_prefill_token": 3e-5,
    "per_context_token": 1e-7,
    "lora_base": 5e-3,
    "lora_per_slot": 5e-5,
    "lora_per_token": 1e-5,
    "lora_per_token_slot": 1e-7,
    "lora_per_adapter": 5e-5,
    "lora_per_token_adapter": 1e-6,
    "per_rank": 5e-3,
    "request_latency": 1e-2,
}
CONTENT = {"throughput": 0.02, "itl_mean": 0.05, "tpot_mean": 0.05, "itl_p99": 0.2, "ttft_p50": 0.25}  # relative errors
HUBER = 2.0
WORST = 1.5  # no single residual counts for more than this log ratio


def fit_step_cost(
    profile: Profile,
    runs: Sequence[MeasuredRun],
    *,
    iterations: int = 12,
    progress: Callable[[int, float], None] | None = None,
) -> Profile:
    """The profile with the step cost that fits `runs` best, starting from the one it has.

    `progress` is told the iteration and the cost (mean squared weighted residual) after each.
    """
    constants = {**profile.step_cost.model_dump(), "request_latency": profile.request_latency}
    point = np.array([constants[name] / unit for name, unit in UNITS.items()])
    residual = _residuals(_with(profile, point), runs)
    damping = 0.1
    for iteration in range(iterations):
        jacobian = _jacobian(profile, point, residual, runs)
        for _ in range(5):
            candidate = _step(point, jacobian, residual, damping)
            tried = _residuals(_with(profile, candidate), runs)
            if _cost(tried) < _cost(residual):
                break
            damping *= 4
        else:
            break
        settled = _cost(tried) > 0.999 * _cost(residual)
        point, residual, damping = candidate, tried, damping / 3
        if progress:
            progress(iteration + 1, _cost(residual))
        if settled:
            break
    return _with(profile, point)


def _with(profile: Profile, point: NDArray[np.float64]) -> Profile:
    constants = {name: float(f"{x * unit:.5g}") for x, (name, unit) in zip(point, UNITS.items(), strict=True)}
    latency = constants.pop("request_latency")
    return profile.model_copy(update={"step_cost": StepCost(**constants), "request_latency": latency})


def _residuals(profile: Profile, runs: Sequence[MeasuredRun]) -> NDArray[np.float64]:
    rows = compare(profile, runs)
    parts = []
    for figure, content in CONTENT.items():
        ratio = (rows[f"twin_{figure}"] / rows[f"real_{figure}"]).log().clip(-WORST, WORST)
        if figure == "ttft_p50":
            ratio = (
                ratio.to_frame("r")
                .with_columns(d=rows["deep_overload"])
                .select(pl.when("d").then(0.0).otherwise("r"))
                .to_series()
            )
        parts.append(ratio.fill_nan(0.0).fill_null(0.0).to_numpy() / content)
    return np.concatenate(parts)


def _jacobian(
    profile: Profile, point: NDArray[np.float64], residual: NDArray[np.float64], runs: Sequence[MeasuredRun]
) -> NDArray[np.float64]:
    columns = []
    for i in range(len(point)):
        moved = point.copy()
        moved[i] += 0.05 * max(point[i], 0.2)
        columns.append((_residuals(_with(profile, moved), runs) - residual) / (moved[i] - point[i]))
    return np.stack(columns, axis=1)


def _step(
    point: NDArray[np.float64], jacobian: NDArray[np.float64], residual: NDArray[np.float64], damping: float
) -> NDArray[np.float64]:
    """A damped Gauss-Newton step; constants that would go below zero are held there."""
    weight = 1.0 / np.maximum(1.0, np.abs(residual) / HUBER)
    free = np.ones(len(point), dtype=bool)
    while True:
        part = jacobian[:, free]
        normal = part.T @ (weight[:, None] * part)
        normal += damping * np.diag(np.diag(normal) + 1e-3)
        move = np.zeros(len(point))
        move[free] = -np.linalg.solve(normal, part.T @ (weight * residual))
        blocked = free & (point + move < 0) & (point <= 0)
        if not blocked.any():
            return np.maximum(0.0, point + move)
        free &= ~blocked


def _cost(residual: NDArray[np.float64]) -> float:
    """Mean Huber loss."""
    size = np.abs(residual)
    return float(np.mean(np.where(size <= HUBER, size**2, 2 * HUBER * size - HUBER**2)))
