"""StepFit: fit the costs of steps to single steps and to whole runs together.

Each run is simulated at its measured pace (`pace.py`), which makes its mean step time a linear form in the constants,
with the mean contents of its steps as columns. Because the contents depend a little on the constants, simulation and
fit are repeated until the constants settle. Constants that neither steps nor runs determine keep the values of the
profile that the fit starts from (`determination.py`).
"""

from collections.abc import Sequence

import joblib
import numpy as np
import polars as pl
from numpy.typing import NDArray

from adaptwin.arrays import Array
from adaptwin.calibration.compare import compare
from adaptwin.calibration.determination import PLAUSIBLE_CHANGE, Determination, determined
from adaptwin.calibration.least_squares import nonnegative
from adaptwin.calibration.measurements import MeasuredRun, Measurements
from adaptwin.calibration.pace import Pace, at_measured_pace
from adaptwin.calibration.residuals import STEP_BOUND, Residual, require_close, residual
from adaptwin.calibration.step_terms import (
    INSEPARABLE,
    SHAPES,
    STEP_TERMS,
    constants_of,
    means_of_steps,
    means_per_step,
    points,
    term_columns,
    with_constants,
)
from adaptwin.calibration.undetermined import Undetermined, undetermined, unmeasured
from adaptwin.errors import SpecError
from adaptwin.profile.profile import Profile
from adaptwin.profile.scrape_cost import ScrapeCost
from adaptwin.progress import Progress
from adaptwin.rounding import rounded
from adaptwin.twin.server import Server
from adaptwin.twin.step_coefficients import kernels_of

Mask = NDArray[np.bool_]

_NONE_USUALLY = tuple(f"step_cost.{name}" for name in (*INSEPARABLE, "expert_weights"))

FIT_FOLDS = 6
STEP_NOISE = 0.01  # least relative error of a step's time, and of the mean step of a run
SCRAPE_NOISE = 0.05  # least relative error of the pause that a scrape makes
SETTLED_CHANGE = 0.003  # mean change of the runs' step times from one round to the next
FARTHEST_MISS = 0.05  # logarithm of the pace: a run that cannot be simulated closer to its measured pace is left out
CALM_TTFT = 1.0  # seconds; above it requests queue, which hides the latency that API server and client add
MOST_TOKENS = 4800.0  # output tokens/s above which the API server falls behind, so that a scrape waits for it
LATE_GROWTH = 0.875  # mean size of the /metrics page in the last quarter of a run, over its final size


class StepFit:
    """Fit of step cost, the scheduler's cost of waiting requests, request latency and scrape cost.

    `columns` and `target` are the linear problem of the single steps: the factor of each constant (the `STEP_TERMS`,
    then waiting requests), and the seconds. Further columns hold the seconds by which the planning of a step may be
    off, for each of the `loose` constants of the scheduler: those that were not determined. `of_runs` returns the
    linear problem of the runs as last simulated.

    Terms that are `stated`, or that no measurement tells from others (`INSEPARABLE`), keep the values of the profile.
    """

    def __init__(
        self, profile: Profile, measurements: Measurements, progress: Progress, *, loose: Sequence[str] = ()
    ) -> None:
        self.start, self.profile, self.progress, self.loose = profile, profile, progress, loose
        known = {*measurements.setup.stated, *INSEPARABLE}
        self.is_fitted = np.array([name not in known for name in (*STEP_TERMS, "per_waiting")])
        self.of_terms: Determination | None = None  # of the terms of a step, as last fitted
        self.of_scrapes: Determination | None = None  # of the constants of a scrape, as last fitted
        self.latency_is_known = False
        self.steps = None if measurements.steps is None else points(measurements.steps, profile.step_cost)
        self.steps_are_rows = self.steps is measurements.steps  # and not points, to which several rows were merged
        self.runs = [run for run in measurements.runs if run.time_per_token]
        self.paces: list[Pace] = []
        if self.steps is not None:
            self.columns, self.target = self._of_steps(self.steps)
        else:
            self.columns, self.target = np.empty((0, len(STEP_TERMS) + 1 + len(loose))), np.empty(0)

    def run(self, rounds: int) -> None:
        """Simulate and fit in turn until the constants settle, for at most `rounds` rounds."""
        if self.runs:
            self.profile = _blank(self.profile)
        if self.runs and len(self.target):
            self.profile = _with_step_constants(self.profile, self._guess())
        elif len(self.target):
            self._take(self.solve(self.columns[:0], self.target[:0]))
        for round_ in range(rounds if self.runs else 0):
            self.play(round_, rounds)
            self.profile = self._with_scrape_cost(self.profile, self._all_runs())
            columns, target, kept = self.of_runs()
            before = self._seconds(columns)
            self._take(self.solve(columns[kept], target[kept]))
            if np.abs(self._seconds(columns) / before - 1).mean() < SETTLED_CHANGE:
                break
        if self.runs:
            self.play(rounds, rounds)
            self.profile = self._with_the_rest(self.profile, self._all_runs())

    def _guess(self) -> Array:
        """Fit the terms of a step to single steps alone, with nothing but the stated terms known."""
        constants, free = constants_of(self.start.step_cost), self.is_fitted[:-1]
        columns = self.columns[:, : len(STEP_TERMS)]
        given = columns[:, ~free] @ constants[~free]
        constants[free] = nonnegative(columns[:, free], self.target, given=given)
        return constants

    def _seconds(self, columns: Array, constants: Array | None = None) -> Array:
        """Return the seconds of each row, with the constants of the profile or others."""
        constants = _constants_of(self.profile) if constants is None else constants
        return columns[:, : len(constants)] @ constants

    def _take(self, of_terms: Determination) -> None:
        self.of_terms = of_terms
        self.profile = self._with_terms(of_terms)

    def _with_terms(self, of_terms: Determination) -> Profile:
        """Return the profile with fitted constants of steps; those that were kept are exactly those of the start."""
        fitted = _with_step_constants(self.profile, of_terms.constants)
        kept = {
            name: getattr(self.start.step_cost, name)
            for name, k in zip(STEP_TERMS, of_terms.kept[:-1], strict=True)
            if k
        }
        scheduler = self.start.scheduler_cost if of_terms.kept[-1] else fitted.scheduler_cost
        return fitted.model_copy(
            update={
                "step_cost": fitted.step_cost.model_copy(update=kept),
                "scheduler_cost": fitted.scheduler_cost.model_copy(update={"per_waiting": scheduler.per_waiting}),
            }
        )

    def _of_steps(self, steps: pl.DataFrame) -> tuple[Array, Array]:
        """Return columns and seconds of single steps; the seconds exclude the planning of running requests."""
        means = means_of_steps(steps, self.profile.step_cost, kernels_of(self.profile, Server()))
        columns = self._rows(steps["max_lora_rank"].to_numpy(), means)
        scheduler = self.profile.scheduler_cost
        planning = scheduler.base + scheduler.per_running * means["sequences"]
        seconds = steps["seconds"].to_numpy() - planning
        if (seconds <= 0).any():
            row = int(np.argmin(seconds))
            raise SpecError(
                f"{steps['seconds'][row]:g} s are shorter than the {planning[row]:.3g} s that planning "
                f"{means['sequences'][row]:g} requests takes: measure planning, or choose another setup.start",
                "steps: seconds",
            )
        return columns, seconds

    def of_runs(self) -> tuple[Array, Array, Mask]:
        """Return columns and mean step seconds of each run, and which runs could be simulated at their pace."""
        in_host = [run.server.listed_adapters(run.workload) for run in self.runs]
        means = means_per_step([pace.step_totals for pace in self.paces], in_host)
        columns = self._rows(np.array([run.server.max_lora_rank for run in self.runs]), means)
        constants = _constants_of(self.profile)
        factor = np.array([pace.factor for pace in self.paces])
        waiting = columns[:, len(STEP_TERMS)] * constants[-1]
        target = factor * self._seconds(columns, constants[:-1]) + waiting
        return columns, target, np.array([abs(pace.miss) < FARTHEST_MISS for pace in self.paces], dtype=bool)

    def _rows(self, max_lora_rank: NDArray[np.int64], means: dict[str, Array]) -> Array:
        counts = {"base": np.ones(len(max_lora_rank)), "per_running": means["sequences"]}
        off = [PLAUSIBLE_CHANGE * getattr(self.start.scheduler_cost, name) * counts[name] for name in self.loose]
        terms = term_columns(kernels_of(self.profile, Server()), max_lora_rank, means)
        return np.column_stack([terms, means["waiting"], *off])

    def solve(self, columns: Array, target: Array) -> Determination:
        """Fit the constants to these runs and all single steps; what they do not determine is that of the start.

        Raises:
            SpecError: There are neither runs nor single steps to fit to.
        """
        if not len(target) and not len(self.target):
            raise SpecError("no run could be simulated at its measured pace: choose another setup.start", "runs")
        start = _constants_of(self.start)
        rows, seconds, importance = self.with_steps(columns, target)
        terms, loose, free = rows[:, : len(start)], rows[:, len(start) :], self.is_fitted
        fitted = determined(
            terms[:, free],
            seconds,
            start=start[free],
            noise=STEP_NOISE,
            importance=importance,
            loose=loose,
            given=terms[:, ~free] @ start[~free],
        )
        constants, kept, tied = start.copy(), ~free, np.zeros(len(free), dtype=bool)
        constants[free], kept[free], tied[free] = fitted
        return Determination(constants, kept, tied)

    def with_steps(self, columns: Array, target: Array) -> tuple[Array, Array, Array]:
        """Return columns, seconds and importance of all single steps and of these runs.

        The single steps together weigh no more than the runs, however many steps were logged.
        """
        share = min(1.0, (len(target) / max(1, len(self.target))) ** 0.5) if len(target) else 1.0
        importance = np.concatenate([np.full(len(self.target), share), np.ones(len(target))])
        return np.vstack([self.columns, columns]), np.append(self.target, target), importance

    def play(self, round_: int, rounds: int) -> None:
        """Simulate every run at its measured pace."""
        stage = f"round {round_ + 1} of up to {rounds + 1}"
        calls = (joblib.delayed(at_measured_pace)(self.profile, run) for run in self.runs)
        played = joblib.Parallel(n_jobs=-1, prefer="threads", return_as="generator")(calls)
        self.paces = []
        for pace in played:
            self.paces.append(pace)
            self.progress(stage, len(self.paces), len(self.runs))

    def _all_runs(self) -> Mask:
        return np.ones(len(self.runs), dtype=bool)

    def _with_the_rest(self, profile: Profile, chosen: Mask) -> Profile:
        """Return the profile with scrape cost and request latency fitted to the chosen runs."""
        return self._with_latency(self._with_scrape_cost(profile, chosen), chosen)

    def _chosen(self, chosen: Mask) -> list[tuple[MeasuredRun, Pace]]:
        return [pair for pair, is_in in zip(zip(self.runs, self.paces, strict=True), chosen, strict=True) if is_in]

    def _with_latency(self, profile: Profile, chosen: Mask) -> Profile:
        """Fit the latency that API server, tokenizer and client add: the median difference in TTFT without a queue."""
        added = [
            run.ttft_p50 - pace.ttft_p50
            for run, pace in self._chosen(chosen)
            if run.ttft_p50 is not None and run.ttft_p50 < CALM_TTFT and pace.ttft_p50 < CALM_TTFT
        ]
        latency = float(np.median(added)) if added else 0.0
        self.latency_is_known = latency > 0
        return profile.model_copy(
            update={"request_latency": rounded(latency, 4) if latency > 0 else self.start.request_latency}
        )

    def _with_scrape_cost(self, profile: Profile, chosen: Mask) -> Profile:
        """Fit the seconds that writing /metrics takes to the pauses of scrapes and the label sets on the page."""
        rows = [
            (LATE_GROWTH * pace.label_sets, LATE_GROWTH * pace.labels, run.scrape_pause)
            for run, pace in self._chosen(chosen)
            if run.scrape_pause and pace.label_sets and not run.starved and _output_rate(run, pace) < MOST_TOKENS
        ]
        table = np.array(rows).reshape(-1, 3)
        self.of_scrapes = determined(
            table[:, :2],
            table[:, 2],
            start=_scrape_constants(self.start),
            noise=SCRAPE_NOISE,
        )
        per_set, per_label = self.of_scrapes.constants
        cost = ScrapeCost(per_label_set=rounded(per_set, 4), per_label=rounded(per_label, 4))
        return profile.model_copy(update={"scrape_cost": cost})

    def doubts(self) -> list[str]:
        """Return one sentence for everything that is doubtful about the fit.

        Raises:
            SpecError: The fit is far from the single steps or from the mean steps of the runs.
        """
        found, lost = [], sum(abs(pace.miss) >= FARTHEST_MISS for pace in self.paces)
        if lost:
            found.append(f"{lost} of {len(self.runs)} runs could not be simulated at their pace and were left out")
        if self.steps is not None:
            fitted = self._seconds(self.columns)
            found += require_close("single steps", "steps: seconds", fitted, self.target, self._step_rows(), STEP_BOUND)
        columns, target, kept = self.of_runs()
        if kept.any():
            rows = [f"in run {run.name!r}" for run, is_kept in zip(self.runs, kept, strict=True) if is_kept]
            part, fitted = "mean step of a run", self._seconds(columns)[kept]
            found += require_close(part, "runs", fitted, target[kept], rows, STEP_BOUND)
        return found

    def _step_rows(self) -> list[str]:
        """Describe each step by its row, unless several rows were merged to it, and by its contents."""
        assert self.steps is not None
        names = [name for name in self.steps.columns if name != "seconds"]
        contents = [", ".join(f"{name} {row[name]:g}" for name in names) for row in self.steps.rows(named=True)]
        if not self.steps_are_rows:
            return [f"for {each}" for each in contents]
        return [f"in row {row + 1} with {each}" for row, each in enumerate(contents)]

    def undetermined(self) -> list[Undetermined]:
        """Return the constants of steps, scrapes and requests that neither steps nor runs determine."""
        shapes = SHAPES if self.start.model.experts else SHAPES[:1]
        found = self._undetermined_terms() + unmeasured(self.start, "step_cost", shapes) + self._undetermined_scrapes()
        if not self.latency_is_known:
            latency = self.start.request_latency
            found.append(Undetermined("request_latency", latency, latency, kept=True))
        return found

    def _undetermined_terms(self) -> list[Undetermined]:
        waiting = "scheduler_cost.per_waiting"
        if self.of_terms is None:
            terms = [name for name in STEP_TERMS if name != "expert_weights" or self.start.model.experts]
            found = unmeasured(self.start, "step_cost", terms)
            return found + unmeasured(self.start, "scheduler_cost", ("per_waiting",))
        found = undetermined("step_cost", (*STEP_TERMS, waiting), _constants_of(self.start), self.of_terms)
        found = [each for each in found if each.value > 0 or each.constant not in _NONE_USUALLY]
        return [each._replace(constant=waiting) if each.constant.endswith(waiting) else each for each in found]

    def _undetermined_scrapes(self) -> list[Undetermined]:
        if self.of_scrapes is None:
            return unmeasured(self.start, "scrape_cost", ScrapeCost.model_fields)
        return undetermined("scrape_cost", ScrapeCost.model_fields, _scrape_constants(self.start), self.of_scrapes)

    def residuals(self) -> list[Residual]:
        """Return the residuals of single steps and of runs' mean steps, the latter also by cross-validation."""
        parts = []
        if len(self.target):
            parts.append(residual("single steps", self._seconds(self.columns), self.target))
        columns, target, kept = self.of_runs()
        if kept.any():
            parts.append(residual("mean step of a run", self._seconds(columns)[kept], target[kept]))
            held_out = np.full(len(target), np.nan)
            for others, mine in self.folds(kept):
                held_out[mine] = self._seconds(columns[mine], self.solve(columns[others], target[others]).constants)
            told = kept & ~np.isnan(held_out)
            if told.any():
                parts.append(residual("mean step of a run, cross-validated", held_out[told], target[told]))
        return parts

    def cross_validated(self) -> pl.DataFrame | None:
        """Simulate every run with a fit to the other configurations; None without runs of at least two of them."""
        columns, target, kept = self.of_runs()
        parts, folds = [], self.folds(kept)
        for done, (others, mine) in enumerate(folds):
            profile = self._with_terms(self.solve(columns[others], target[others]))
            profile = self._with_the_rest(profile, others)
            parts.append(compare(profile, [run for run, is_mine in zip(self.runs, mine, strict=True) if is_mine]))
            self.progress("cross-validation", done + 1, len(folds))
        return pl.concat(parts, how="vertical_relaxed") if parts else None

    def folds(self, kept: Mask) -> list[tuple[Mask, Mask]]:
        """Return pairs of masks: runs to fit to, runs held out. Runs of equal slots and adapters share a fold."""
        keys = sorted({_configuration(run) for run in self.runs})
        order = np.random.default_rng(0).permutation(len(keys))
        fold_of = {keys[k]: i % FIT_FOLDS for i, k in enumerate(order)}
        fold = np.array([fold_of[_configuration(run)] for run in self.runs])
        folds = [((fold != k) & kept, fold == k) for k in range(min(FIT_FOLDS, len(keys)))]
        return [(others, mine) for others, mine in folds if others.any()]


def _blank(profile: Profile) -> Profile:
    """Return the profile without costs of waiting requests and scrapes; wrong ones would distort the first round."""
    scheduler = profile.scheduler_cost.model_copy(update={"per_waiting": 0.0})
    return profile.model_copy(update={"scheduler_cost": scheduler, "scrape_cost": ScrapeCost()})


def _with_step_constants(profile: Profile, constants: Array) -> Profile:
    """Return the profile with these constants for the terms of a step, the last one being that per waiting request."""
    update: dict[str, object] = {"step_cost": with_constants(profile.step_cost, constants[: len(STEP_TERMS)])}
    if len(constants) > len(STEP_TERMS):
        update["scheduler_cost"] = profile.scheduler_cost.model_copy(update={"per_waiting": rounded(constants[-1], 4)})
    return profile.model_copy(update=update)


def _constants_of(profile: Profile) -> Array:
    """Return the constants of the linear problem: the terms of a step, then seconds per waiting request."""
    return np.append(constants_of(profile.step_cost), profile.scheduler_cost.per_waiting)


def _scrape_constants(profile: Profile) -> Array:
    return np.array([profile.scrape_cost.per_label_set, profile.scrape_cost.per_label])


def _configuration(run: MeasuredRun) -> tuple[int, int]:
    return run.server.max_loras, len(run.workload)


def _output_rate(run: MeasuredRun, pace: Pace) -> float:
    """Output tokens per second: mean running requests over the time per output token."""
    per_step = pace.step_totals.sequences / max(1, pace.step_totals.steps)
    return per_step / (run.time_per_token or np.inf)
