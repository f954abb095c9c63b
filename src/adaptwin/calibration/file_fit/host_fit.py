"""Host fit: the host's time of a step, and the speed of the GPU where it can be told, from benchmark results.

The host's time, `StepCost.host_base`, is sought with which the twin has the measured times per token. If the runs were
made at loads that differ enough, a common factor of the GPU's times is sought as well; one load tells only the sum.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.arrays import Array
from adaptwin.calibration.determination import ROWS_DECIDE
from adaptwin.calibration.file_fit.replay import Replay, time_in_words
from adaptwin.calibration.residuals import STEP_BOUND
from adaptwin.errors import SpecError
from adaptwin.profile.profile import Profile
from adaptwin.profile.step_cost import StepCost
from adaptwin.rounding import rounded

OF_GPU = (
    "gpu_base",
    "weights",
    "expert_weights",
    "per_token",
    "per_pair",
    "per_context_token",
    "per_sequence",
    "eager",
    "communication",
    "communication_per_token",
)
MOST_HOST = 20e-3  # seconds of a step: hosts take 1 to 7 ms
HOST_SCALE, GPU_SCALE = 2e-3, 0.15  # plausible deviations of the host's time, and of the factor of the GPU's times
NOISE = 0.05  # of the logarithm of a measured time
FASTEST_GPU, SLOWEST_GPU = 0.5, 2.0  # factor of the GPU's times that a derived profile may be off by
TOO_SLOW = 0.05  # of a measured time, by which the twin may be too slow without any host time
STEPS_OF_FIT = 8
LEAST_LATENCY, MOST_LATENCY = 0.0, 50e-3  # seconds that API server and client add to a request
_CHANGES = np.array([1e-4, 1e-2])  # of the host's time and of the factor, for slopes
_HIGHEST = np.array([2 * MOST_HOST, 2 * SLOWEST_GPU])
_LOWEST = np.array([0.0, FASTEST_GPU / 2])


class HostFit(NamedTuple):
    """What runs say of the host and the GPU of a server."""

    profile: Profile  # with the fitted constants
    host_base: float  # seconds
    gpu_factor: float | None  # of the GPU's times; None: it cannot be told from the host's time
    before: Array  # simulated over measured times of the derived profile, one for each run
    after: Array
    running: Array  # mean running requests of each run, simulated
    used: NDArray[np.bool_]  # whether constants were fitted to the run; False: requests queued, unlike in others


def fit_host(profile: Profile, replays: Sequence[Replay]) -> HostFit:
    """Fit the host's time of a step to runs and, if their loads tell them apart, the speed of the GPU.

    Runs whose requests queue are left out if others do not: their times per token depend on which requests wait.

    Raises:
        SpecError: No plausible time of the host explains the runs, or the fit stays far from them.
    """
    start = np.array([profile.step_cost.host_base, 1.0])
    calm = np.array([replay.is_calm(replay.played(profile)) for replay in replays])
    used = calm if calm.any() else np.ones(len(replays), dtype=bool)
    fitted_to = [replay for replay, is_used in zip(replays, used, strict=True) if is_used]
    here = _log_ratios(profile, fitted_to, start)
    told = gpu_is_told(_slopes(profile, fitted_to, start, here))
    found, there = _fitted(profile, fitted_to, start, here, np.array([True, False]))
    if told:
        found, there = _fitted(profile, fitted_to, found, there, np.array([True, True]))
    _require_plausible(found, there, fitted_to, told)
    fitted = with_host_and_gpu(profile, found)
    return HostFit(
        profile=fitted,
        host_base=fitted.step_cost.host_base,
        gpu_factor=float(found[1]) if told else None,
        before=np.exp(_log_ratios(profile, replays, start)),
        after=np.exp(_log_ratios(profile, replays, found)),
        running=np.array([replay.played(fitted).mean_running for replay in replays]),
        used=used,
    )


def gpu_is_told(slopes: Array) -> bool:
    """Return whether runs tell the GPU's speed from the host's time.

    Args:
        slopes: Change of the logarithm of each run's time by the host's time and by the factor, shape (runs, 2).
    """
    scaled = slopes * np.array([HOST_SCALE, GPU_SCALE]) / NOISE
    left = np.linalg.inv(scaled.T @ scaled + np.eye(2))
    return bool(1.0 - left[1, 1] >= ROWS_DECIDE)


def told_request_latency(profile: Profile, replays: Sequence[Replay]) -> tuple[float | None, str]:
    """Return the seconds that API server and client add to a request, or None, and why it cannot be told."""
    silent = profile.model_copy(update={"request_latency": 0.0})
    found = []
    for replay in replays:
        if replay.ttft is None:
            continue
        run = replay.played(silent)
        if run.mean_waiting < 0.5:
            found.append(replay.ttft - (run.ttft.p50 if replay.ttft_is_median else run.ttft.mean))
    if not found:
        return None, "no run at a given request rate has a TTFT without a queue"
    latency = float(np.median(found))
    if latency <= LEAST_LATENCY:
        return None, (
            f"TTFT is {-1e3 * latency:.1f} ms shorter than the simulated one without any latency: did the prompts lie "
            "in the prefix cache?"
        )
    if latency > MOST_LATENCY:
        return None, (
            f"TTFT is {1e3 * latency:,.0f} ms longer than the simulated one, which is no latency of an API server"
        )
    return rounded(latency, 3), ""


def with_host_and_gpu(profile: Profile, found: Array) -> Profile:
    """Return the profile with this time of the host, and with the GPU's times multiplied by a factor."""
    cost = profile.step_cost
    update = {"host_base": rounded(float(found[0]), 4)}
    if found[1] != 1.0:
        update |= {name: rounded(float(found[1]) * getattr(cost, name), 5) for name in OF_GPU}
    return profile.model_copy(update={"step_cost": StepCost(**{**dict(cost), **update})})


def _log_ratios(profile: Profile, replays: Sequence[Replay], at: Array) -> Array:
    """Return the logarithm of the simulated over the measured time of each run."""
    changed = with_host_and_gpu(profile, at)
    return np.log([replay.simulated(replay.played(changed)) / replay.seconds for replay in replays])


def _slopes(profile: Profile, replays: Sequence[Replay], at: Array, here: Array) -> Array:
    moved = [_log_ratios(profile, replays, at + change) for change in np.diag(_CHANGES)]
    return np.stack([(there - here) / change for there, change in zip(moved, _CHANGES, strict=True)], axis=1)


def _fitted(profile: Profile, replays: Sequence[Replay], at: Array, here: Array, free: Array) -> tuple[Array, Array]:
    """Return the values with the least squares of the logarithms, and these; by Gauss and Newton, with bounds."""
    for _ in range(STEPS_OF_FIT):
        slopes = _slopes(profile, replays, at, here)[:, free]
        step = np.zeros(2)
        step[free] = np.linalg.lstsq(slopes, -here, rcond=None)[0]
        for _ in range(STEPS_OF_FIT):
            there = np.clip(at + step, _LOWEST, _HIGHEST)
            new = _log_ratios(profile, replays, there)
            if new @ new < here @ here:
                break
            step /= 2
        else:
            break
        moved = float(np.abs(there - at) @ (1 / _CHANGES))
        at, here = there, new
        if moved < 0.1:
            break
    return at, here


def _require_plausible(found: Array, after: Array, replays: Sequence[Replay], told: bool) -> None:
    """Raise `SpecError` if no plausible server explains the runs."""
    worst = int(np.argmax(np.abs(after)))
    run, ratio = replays[worst], float(np.exp(after[worst]))
    least, middle = float(after.mean()), float(np.median(np.abs(after)))
    article = "an" if run.figure == "ITL" else "a"
    said = f"{run.name}: {article} {run.figure} of {time_in_words(run.seconds)} was measured"
    if found[0] == 0.0 and least > TOO_SLOW and not told:
        raise SpecError(
            f"{said}, and the derived GPU takes {time_in_words(run.seconds * ratio)} without any time of the host: "
            "check --gpu, --model, --quantization and --tensor-parallel-size, and whether the server decodes "
            "speculatively"
        )
    if found[0] > MOST_HOST:
        raise SpecError(
            f"{said}, which would need {1e3 * found[0]:.3g} ms of the host for each step; 1 to 7 ms were seen: check "
            "--gpu and --model, and whether other work ran on the server"
        )
    if told and not FASTEST_GPU <= found[1] <= SLOWEST_GPU:
        raise SpecError(
            f"the runs need a GPU that takes {found[1]:.2f} times as long as the data sheet says: check --gpu, "
            "--model, --quantization and --tensor-parallel-size"
        )
    if middle > STEP_BOUND.refused and len(replays) == 1:
        raise SpecError(
            f"no host explains {run.name}: the derived profile is {ratio - 1:+.0%} off at best; check --gpu, --model, "
            "--quantization and --tensor-parallel-size"
        )
    if middle > STEP_BOUND.refused:
        raise SpecError(
            f"the runs contradict each other: the best fit is {middle:.0%} off in the middle, and {ratio - 1:+.0%} in "
            f"{run.name}; are they of one server?"
        )
