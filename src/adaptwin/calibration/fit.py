"""fit: measurements -> Profile, with the residuals of every part and a warning for what was not measured.

Memory, adapter loads and planning are fitted to tables of their own. Step costs are fitted to single steps and to whole
runs together: each run is played at its measured pace (`pace.py`), which makes its mean step time a linear form in the
constants, with the mean contents of its steps as columns. As the contents depend a little on the constants, this is
repeated until they settle. Everything is non-negative and robust least squares (`least_squares.py`).
"""

from collections.abc import Callable
from typing import NamedTuple

import joblib
import numpy as np
import polars as pl

from adaptwin.calibration.compare import compare, profile_error, spreads
from adaptwin.calibration.coverage import uncovered
from adaptwin.calibration.hardware import Residual, fit_loads, fit_memory, fit_planning, residual
from adaptwin.calibration.least_squares import Array, nonnegative
from adaptwin.calibration.measurements import MeasuredRun, Measurements
from adaptwin.calibration.pace import Pace, at_measured_pace
from adaptwin.calibration.step_terms import (
    TERMS,
    constants_of,
    means_of_steps,
    means_of_tallies,
    points,
    term_columns,
    with_constants,
)
from adaptwin.errors import SpecError
from adaptwin.profile.memory import GIB, MemoryModel
from adaptwin.profile.profile import Profile, load_profile
from adaptwin.profile.scrape_cost import ScrapeCost
from adaptwin.twin.compilation import compile_twin

ROUNDS = 4
FOLDS = 6
SETTLED = 0.003  # mean change of the runs' step times from one round to the next
FAR = 0.05  # a run that the twin cannot play closer to its measured pace than this is left out
CALM_TTFT = 1.0  # seconds: above it, requests queue, and what API server and client add cannot be told
MOST_TOKENS = 4800.0  # output tokens/s above which the API server falls behind, so that a scrape waits for it
LATE = 0.875  # what the page has grown to, on average, in the last quarter of a run

Progress = Callable[[str, int, int], None]


class Fit(NamedTuple):
    """A fitted profile, and how far it is from what it was fitted to."""

    profile: Profile
    residuals: list[Residual]
    comparison: pl.DataFrame | None  # every run, predicted by a fit to the other configurations (see `compare`)
    warnings: list[str]


def fit(measurements: Measurements, *, rounds: int = ROUNDS, progress: Progress = lambda *_: None) -> Fit:
    """Fit a profile to measurements; parts that were not measured are those of the profile that the setup starts from.

    Raises:
        SpecError: The measurements hold nothing to fit, or the setup names no profile to start from where it must.
        ImportError: scipy is not installed (``pip install 'adaptwin[fit]'``).
    """
    profile = _start(measurements)
    residuals: list[Residual] = []
    if measurements.memory is not None:
        memory, part = fit_memory(measurements.memory, measurements.setup)
        profile, residuals = profile.model_copy(update={"memory": memory}), [part]
    if measurements.loads is not None:
        loads, parts = fit_loads(measurements.loads, profile.load_cost)
        profile, residuals = profile.model_copy(update={"load_cost": loads}), residuals + parts
    if measurements.planning is not None:
        planning, part = fit_planning(measurements.planning, profile.scheduler_cost)
        profile, residuals = profile.model_copy(update={"scheduler_cost": planning}), [*residuals, part]
    comparison = None
    if measurements.steps is not None or measurements.runs:
        compile_twin()
        steps = _StepFit(profile, measurements, progress)
        steps.run(rounds)
        profile, residuals = steps.profile, residuals + steps.residuals()
        comparison = steps.cross_validated()
        if comparison is not None:
            update = {"error": profile_error(comparison), "spread": spreads(comparison)}
            profile = profile.model_copy(update=update)
    return Fit(profile, residuals, comparison, uncovered(measurements))


def _start(measurements: Measurements) -> Profile:
    """The profile before anything is fitted."""
    setup = measurements.setup
    if all(part is None or len(part) == 0 for part in measurements[1:]):
        raise SpecError("the folder holds no measurements: memory, loads, planning, steps or runs", "measurements")
    if setup.start is None:
        raise SpecError("name a profile to start from, for what was not measured and as a first guess", "setup.start")
    try:
        start = load_profile(setup.start)
    except SpecError as error:
        raise (error if error.file else SpecError(str(error), "setup.start")) from None
    return start.model_copy(
        update={
            "name": setup.name,
            "hardware": setup.hardware,
            "model": setup.model,
            "vllm_version": setup.vllm_version,
            "source": setup.source or "adaptwin fit",
            "price_per_hour": setup.price_per_hour,
            "memory": MemoryModel.from_shapes(setup.model, setup.gpu_gib * GIB),
            "error": None,
            "spread": (),
        }
    )


class _StepFit:
    """Step cost, the scheduler's cost of waiting requests, request latency and scrape cost."""

    def __init__(self, profile: Profile, measurements: Measurements, progress: Progress) -> None:
        self.profile, self.progress = _blank(profile, measurements), progress
        self.steps = None if measurements.steps is None else points(measurements.steps)
        self.runs = [run for run in measurements.runs if run.tpot_mean or run.itl_mean]
        self.paces: list[Pace] = []
        if self.steps is not None:
            self._columns, self._target = self._of_steps(self.steps)
        else:
            self._columns, self._target = np.empty((0, len(TERMS) + 1)), np.empty(0)

    def run(self, rounds: int) -> None:
        if len(self._target):
            self._take(nonnegative(self._columns[:, :-1], self._target))
        for round_ in range(rounds if self.runs else 0):
            self._play(round_, rounds)
            self._fit_scrapes()
            columns, target, kept = self._of_runs()
            before = columns @ self._constants()
            self._take(self._solve(columns[kept], target[kept]))
            if np.abs(columns @ self._constants() / before - 1).mean() < SETTLED:
                break
        if self.runs:
            self._play(rounds, rounds)
            self._fit_latency()
            self._fit_scrapes()

    def _constants(self) -> Array:
        """All that is fitted: the terms of a step, and seconds per waiting request."""
        return np.append(constants_of(self.profile.step_cost), self.profile.scheduler_cost.per_waiting)

    def _take(self, constants: Array) -> None:
        self.profile = _with_step_constants(self.profile, constants)

    def _of_steps(self, steps: pl.DataFrame) -> tuple[Array, Array]:
        """Columns and seconds of single steps, without the planning of what runs."""
        means = means_of_steps(steps, self.profile.step_cost)
        columns = self._columns_of(steps["max_loras"].to_numpy(), steps["max_lora_rank"].to_numpy(), means)
        scheduler = self.profile.scheduler_cost
        planning = scheduler.base + scheduler.per_running * means["running"]
        return columns, np.maximum(steps["seconds"].to_numpy() - planning, 1e-6)

    def _of_runs(self) -> tuple[Array, Array, np.ndarray]:
        """Columns and mean seconds of a step of each run, and which of the runs could be played at their pace."""
        means = means_of_tallies([pace.tally for pace in self.paces])
        slots, rank = (
            np.array([getattr(r.server, name) for r in self.runs]) for name in ("max_loras", "max_lora_rank")
        )
        columns = self._columns_of(slots, rank, means)
        constants = self._constants()
        factor = np.array([pace.factor for pace in self.paces])
        target = factor * (columns[:, :-1] @ constants[:-1]) + columns[:, -1] * constants[-1]
        return columns, target, np.array([abs(pace.miss) < FAR for pace in self.paces])

    def _columns_of(self, slots: np.ndarray, rank: np.ndarray, means: dict[str, Array]) -> Array:
        return np.column_stack([term_columns(slots.astype(float), rank.astype(float), means), means["waiting"]])

    def _solve(self, columns: Array, target: Array) -> Array:
        """Constants for these runs and all steps; both sides weigh the same, however many steps were logged."""
        if not len(target) and not len(self._target):
            raise SpecError("the twin could play none of the runs at its measured pace: start nearer to them", "runs")
        share = min(1.0, (len(target) / max(1, len(self._target))) ** 0.5)
        weight = np.concatenate([np.full(len(self._target), share), np.ones(len(target))])
        return nonnegative(np.vstack([self._columns, columns]), np.append(self._target, target), weight)

    def _play(self, round_: int, rounds: int) -> None:
        """Play every run at its measured pace."""
        stage = f"round {round_ + 1} of up to {rounds + 1}"
        calls = (joblib.delayed(at_measured_pace)(self.profile, run) for run in self.runs)
        played = joblib.Parallel(n_jobs=-1, prefer="threads", return_as="generator")(calls)
        self.paces = []
        for pace in played:
            self.paces.append(pace)
            self.progress(stage, len(self.paces), len(self.runs))

    def _fit_latency(self) -> None:
        """What API server, tokenizer and client add: the median difference of TTFT where nobody queues."""
        added = [
            run.ttft_p50 - pace.ttft_p50
            for run, pace in zip(self.runs, self.paces, strict=True)
            if run.ttft_p50 is not None and run.ttft_p50 < CALM_TTFT and pace.ttft_p50 < CALM_TTFT
        ]
        if added:
            self.profile = self.profile.model_copy(
                update={"request_latency": _digits(max(0.0, float(np.median(added))))}
            )

    def _fit_scrapes(self) -> None:
        """How long /metrics takes to be written, from the scraper's pauses and the combinations that it had seen."""
        rows = [
            (LATE * pace.label_sets, LATE * pace.labels, run.scrape_pause)
            for run, pace in zip(self.runs, self.paces, strict=True)
            if run.scrape_pause and pace.label_sets and not run.starved and _output_rate(run, pace) < MOST_TOKENS
        ]
        if len(rows) >= 3:
            table = np.array(rows)
            per_set, per_label = nonnegative(table[:, :2], table[:, 2])
            cost = ScrapeCost(per_label_set=_digits(per_set), per_label=_digits(per_label))
            self.profile = self.profile.model_copy(update={"scrape_cost": cost})

    def residuals(self) -> list[Residual]:
        parts = []
        if len(self._target):
            parts.append(residual("single steps", self._columns @ self._constants(), self._target))
        if self.runs:
            columns, target, kept = self._of_runs()
            parts.append(residual("mean step of a run", (columns @ self._constants())[kept], target[kept]))
            if self._folds():
                held_out = self._held_out(columns, target, kept)
                parts.append(residual("the same, cross-validated", held_out[kept], target[kept]))
        return parts

    def _held_out(self, columns: Array, target: Array, kept: np.ndarray) -> Array:
        predicted = np.zeros(len(target))
        for others, mine in self._folds():
            predicted[mine] = columns[mine] @ self._solve(columns[others & kept], target[others & kept])
        return predicted

    def _folds(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(the others, mine) by configuration: runs of as many slots and adapters fall into the same fold."""
        keys = sorted({_configuration(run) for run in self.runs})
        order = np.random.default_rng(0).permutation(len(keys))
        fold_of = {keys[k]: i % FOLDS for i, k in enumerate(order)}
        fold = np.array([fold_of[_configuration(run)] for run in self.runs])
        return [(fold != k, fold == k) for k in range(min(FOLDS, len(keys))) if len(keys) > 1]

    def cross_validated(self) -> pl.DataFrame | None:
        """Every run as predicted by a fit to the other configurations; None without runs of at least two."""
        columns, target, kept = self._of_runs() if self.runs else (None, None, None)
        parts, folds = [], self._folds()
        for done, (others, mine) in enumerate(folds):
            assert columns is not None
            assert target is not None
            profile = _with_step_constants(self.profile, self._solve(columns[others & kept], target[others & kept]))
            parts.append(compare(profile, [run for run, is_mine in zip(self.runs, mine, strict=True) if is_mine]))
            self.progress("cross-validation", done + 1, len(folds))
        return pl.concat(parts, how="vertical_relaxed") if parts else None


def _blank(profile: Profile, measurements: Measurements) -> Profile:
    """The profile without what is fitted to runs, so that the fit does not depend on where it starts."""
    update: dict[str, object] = {}
    if measurements.runs:
        update["scheduler_cost"] = profile.scheduler_cost.model_copy(update={"per_waiting": 0.0})
    if any(run.scrape_pause is not None for run in measurements.runs):
        update["scrape_cost"] = ScrapeCost()
    return profile.model_copy(update=update)


def _with_step_constants(profile: Profile, constants: Array) -> Profile:
    """The profile with these constants for the terms of a step, and the last one for each waiting request."""
    update: dict[str, object] = {"step_cost": with_constants(profile.step_cost, constants[: len(TERMS)])}
    if len(constants) > len(TERMS):
        update["scheduler_cost"] = profile.scheduler_cost.model_copy(update={"per_waiting": _digits(constants[-1])})
    return profile.model_copy(update=update)


def _configuration(run: MeasuredRun) -> tuple[int, int]:
    return run.server.max_loras, len(run.workload)


def _output_rate(run: MeasuredRun, pace: Pace) -> float:
    """Output tokens per second, from the requests that ran at once and the time that each of their tokens took."""
    per_step = pace.tally.running / max(1, pace.tally.steps)
    return per_step / (run.tpot_mean or run.itl_mean or np.inf)


def _digits(value: float) -> float:
    return float(f"{value:.4g}")
