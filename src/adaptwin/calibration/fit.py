"""fit: measurements -> Profile, with the residuals of every part and a warning for everything that was not measured.

Memory, adapter loads and planning are each fitted to a table of their own (`hardware.py`). Everything else is fitted to
single steps and whole runs (`step_fit.py`).
"""

from typing import NamedTuple

import polars as pl

from adaptwin.calibration.compare import profile_error, spreads
from adaptwin.calibration.coverage import uncovered
from adaptwin.calibration.fit_rounds import FIT_ROUNDS
from adaptwin.calibration.hardware import Residual, fit_loads, fit_memory, fit_planning
from adaptwin.calibration.measurements import Measurements
from adaptwin.calibration.step_fit import StepFit
from adaptwin.errors import SpecError
from adaptwin.profile.memory import GIB, MemoryModel
from adaptwin.profile.profile import Profile, load_profile
from adaptwin.progress import Progress, silent
from adaptwin.twin.compilation import compile_twin


class Fit(NamedTuple):
    """A fitted profile, and how far it is from the measurements."""

    profile: Profile  # the fitted profile
    residuals: list[Residual]  # error of each part of the fit
    comparison: pl.DataFrame | None  # every run, simulated with a fit to the other configurations (see `compare`)
    warnings: list[str]  # what was not measured, one sentence each


def fit(measurements: Measurements, *, rounds: int = FIT_ROUNDS, progress: Progress = silent) -> Fit:
    """Fit a profile to measurements; parts that were not measured are taken from the profile in `setup.start`.

    Args:
        measurements: What was measured.
        rounds: Most rounds of simulating the runs and fitting the costs of steps to them.
        progress: Called with the number of runs simulated.

    Raises:
        SpecError: The measurements hold nothing to fit, or the setup names no profile to start from.
        ImportError: scipy is not installed (``pip install 'adaptwin[fit]'``).
    """
    profile = _first_profile(measurements)
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
    comparison, warnings = None, uncovered(measurements)
    if measurements.steps is not None or measurements.runs:
        compile_twin(progress)
        steps = StepFit(profile, measurements, progress)
        steps.run(rounds)
        profile, residuals = steps.profile, residuals + steps.residuals()
        if steps.lost:
            warnings.append(
                f"{steps.lost} of {len(steps.runs)} runs could not be simulated at their pace and were left out"
            )
        comparison = steps.cross_validated()
        if measurements.runs and not (comparison is not None and spreads(comparison)):
            warnings.append("too few runs for intervals: they need five of one regime, from several configurations")
        if comparison is not None:
            update = {"error": profile_error(comparison), "spread": spreads(comparison)}
            profile = profile.model_copy(update=update)
    return Fit(profile, residuals, comparison, warnings)


def _first_profile(measurements: Measurements) -> Profile:
    """Return the profile before the fit: that of `setup.start`, with the setup's facts and memory from the shapes."""
    setup = measurements.setup
    if all(part is None or len(part) == 0 for part in measurements[1:]):
        raise SpecError("the folder holds no measurements: memory, loads, planning, steps or runs", "measurements")
    if setup.start is None:
        raise SpecError(
            "name a profile to start from; it supplies the first guess and what was not measured", "setup.start"
        )
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
