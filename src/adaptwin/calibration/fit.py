"""fit: measurements -> Profile, with residuals, the constants that were not determined, and warnings.

Memory, adapter loads and planning are each fitted to a table of their own (`hardware.py`). Everything else is fitted to
single steps and whole runs (`step_fit.py`). Measurements that no server can have made are refused (`plausible.py`).
"""

from typing import Any, NamedTuple

import polars as pl

from adaptwin.calibration.compare import profile_error, spreads
from adaptwin.calibration.coverage import uncovered
from adaptwin.calibration.fit_rounds import FIT_ROUNDS
from adaptwin.calibration.hardware import (
    MEMORY_CONSTANTS,
    PLANNING_CONSTANTS,
    FittedPart,
    fit_loads,
    fit_memory,
    fit_planning,
    memory_from_shapes,
)
from adaptwin.calibration.measured_range import measured_range
from adaptwin.calibration.measurements import Measurements, Setup
from adaptwin.calibration.plausible import require_plausible_measurements
from adaptwin.calibration.residuals import Residual
from adaptwin.calibration.step_fit import StepFit
from adaptwin.calibration.undetermined import Undetermined, unmeasured
from adaptwin.errors import SpecError
from adaptwin.lazy import function_from
from adaptwin.profile.load_cost import LoadCost
from adaptwin.profile.profile import Profile, load_profile, shipped_profiles
from adaptwin.profile.step_cost import StepCost
from adaptwin.progress import Progress, silent
from adaptwin.twin.compilation import compile_twin


class Fit(NamedTuple):
    """A fitted profile, and how far it is from the measurements."""

    profile: Profile  # the fitted profile
    residuals: list[Residual]  # error of each part of the fit
    comparison: pl.DataFrame | None  # every run, simulated with a fit to the other configurations (see `compare`)
    warnings: list[str]  # what was not measured, and what is doubtful, one sentence each
    undetermined: list[Undetermined]  # constants that the measurements do not determine

    def __repr__(self) -> str:
        return str(function_from("adaptwin.report.notebook.fit_view", "fit_line")(self))

    def _repr_html_(self) -> str:
        return str(function_from("adaptwin.report.notebook.fit_view", "fit_html")(self))


def fit(measurements: Measurements, *, rounds: int = FIT_ROUNDS, progress: Progress = silent) -> Fit:
    """Fit a profile to measurements; what they do not determine is taken from the profile in `setup.start`.

    The memory that was not determined is derived from the shapes of the model instead.

    Args:
        measurements: What was measured.
        rounds: Most rounds of simulating the runs and fitting the costs of steps to them.
        progress: Called with the number of runs simulated.

    Raises:
        SpecError: The measurements hold nothing to fit, are not plausible or contradict each other, the fit is far
            from them, or the setup names no profile to start from.
        ImportError: scipy is not installed (``pip install 'adaptwin[fit]'``).
    """
    start = _start(measurements)
    doubts = require_plausible_measurements(measurements)
    tables = _fit_tables(measurements, _first_profile(start, measurements.setup))
    profile, comparison, warnings = tables.costs, None, [*uncovered(measurements), *doubts, *tables.doubts]
    unknown_names = {each.constant for each in tables.undetermined}
    loose = [name for name in PLANNING_CONSTANTS if f"scheduler_cost.{name}" in unknown_names]
    steps = StepFit(profile, measurements, progress, loose=loose)
    if measurements.steps is not None or measurements.runs:
        if steps.runs:
            compile_twin(progress)
        steps.run(rounds)
        profile = steps.profile
        warnings += steps.doubts()
        comparison = steps.cross_validated()
        if measurements.runs and not (comparison is not None and spreads(comparison)):
            warnings.append("too few runs for intervals: they need five of one regime, from several configurations")
        if comparison is not None:
            update = {"error": profile_error(comparison), "spread": spreads(comparison)}
            profile = profile.model_copy(update={**update, "measured": measured_range(profile, measurements.runs)})
    unknown = [*tables.undetermined, *steps.undetermined()]
    warnings += _other_server(start, measurements.setup)
    profile = profile.model_copy(update={"undetermined": tuple(each.constant for each in unknown)})
    return Fit(profile, [*tables.residuals, *steps.residuals()], comparison, warnings, unknown)


def _fit_tables(measurements: Measurements, profile: Profile) -> FittedPart[Profile]:
    """Fit memory, loads and planning to their tables; a part without a table is that of the profile."""
    parts: dict[str, FittedPart[Any]] = {}
    unknown: list[Undetermined] = []
    if measurements.memory is not None:
        parts["memory"] = fit_memory(measurements.memory, measurements.setup)
    else:
        unknown += unmeasured(profile, "memory", MEMORY_CONSTANTS)
    if measurements.loads is not None:
        parts["load_cost"] = fit_loads(measurements.loads, profile.load_cost)
    else:
        unknown += unmeasured(profile, "load_cost", LoadCost.model_fields)
    if measurements.planning is not None:
        parts["scheduler_cost"] = fit_planning(measurements.planning, profile.scheduler_cost)
    else:
        unknown += unmeasured(profile, "scheduler_cost", PLANNING_CONSTANTS)
    return FittedPart(
        profile.model_copy(update={name: part.costs for name, part in parts.items()}),
        [each for part in parts.values() for each in part.residuals],
        [*unknown, *(each for part in parts.values() for each in part.undetermined)],
        [each for part in parts.values() for each in part.doubts],
    )


def _start(measurements: Measurements) -> Profile:
    """Return the profile of `setup.start`, which supplies what the measurements do not determine."""
    setup = measurements.setup
    if all(part is None or len(part) == 0 for part in measurements[1:]):
        raise SpecError("the folder holds no measurements: memory, loads, planning, steps or runs", "measurements")
    if setup.start is None:
        raise SpecError(
            "name a profile to start from, which supplies what the measurements do not determine (start: in "
            f"setup.yaml, or --start): a profile file, or one of {', '.join(shipped_profiles())}",
            "setup.start",
        )
    try:
        return load_profile(setup.start)
    except SpecError as error:
        raise (error if error.file else SpecError(str(error), "setup.start")) from None


def _first_profile(start: Profile, setup: Setup) -> Profile:
    """Return the profile before the fit: `start` with the setup's facts, and memory from the shapes."""
    return start.model_copy(
        update={
            "name": setup.name,
            "hardware": setup.hardware,
            "model": setup.model,
            "vllm_version": setup.vllm_version,
            "source": setup.source or "adaptwin fit",
            "price_per_hour": setup.price_per_hour,
            "step_cost": _stated(start.step_cost, setup),
            "memory": memory_from_shapes(setup),
            "error": None,
            "spread": (),
            "measured": None,
        }
    )


def _stated(cost: StepCost, setup: Setup) -> StepCost:
    """Return the step cost with the constants that the setup states."""
    for name in setup.stated:
        if name not in StepCost.model_fields:
            expected = ", ".join(StepCost.model_fields)
            raise SpecError(f"{name} is no constant of step_cost: expected {expected}", "setup.stated")
    return StepCost(**{**dict(cost), **setup.stated})


def _other_server(start: Profile, setup: Setup) -> list[str]:
    """Return a sentence if the profile that the fit starts from is one of another GPU, model or version of vLLM."""
    facts = (
        (start.hardware, setup.hardware),
        (start.model.name, setup.model.name),
        (f"vLLM {start.vllm_version}", f"vLLM {setup.vllm_version}"),
    )
    other = [f"{theirs} instead of {ours}" for theirs, ours in facts if theirs != ours]
    if not other:
        return []
    return [f"what is taken from {setup.start} is of another server ({', '.join(other)}) and may be far off"]
