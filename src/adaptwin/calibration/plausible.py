"""Plausible: refuse measurements that no server can have made, and name what is doubtful about others."""

from pathlib import Path

from adaptwin.calibration.measurements import MEASUREMENT_COLUMNS, RUNS_FILE, SETUP_FILE, Measurements
from adaptwin.calibration.plausible_memory import check_memory
from adaptwin.calibration.plausible_runs import check_runs
from adaptwin.calibration.plausible_times import check_times
from adaptwin.errors import SpecError


def require_plausible_measurements(measurements: Measurements) -> list[str]:
    """Return one sentence for everything that is doubtful about the measurements.

    Raises:
        SpecError: A value is not plausible, mostly because it is in another unit, or rows contradict each other. The
            field of the error is the table and the row, such as ``memory row 3: kv_cache_tokens``.
    """
    return [
        *check_memory(measurements.setup, measurements.memory),
        *check_times(measurements),
        *check_runs(measurements),
    ]


def located(error: SpecError, folder: Path) -> SpecError:
    """Return the error with the file of the folder that holds the value, if its field begins with a part's name."""
    if error.file:
        return error
    files = {name: (f"{name}.parquet", f"{name}.csv") for name in MEASUREMENT_COLUMNS}
    for part, names in {**files, "runs": (RUNS_FILE,), "setup": (SETUP_FILE,)}.items():
        file = next((folder / name for name in names if (folder / name).is_file()), None)
        if file and error.field.startswith(part):
            return SpecError(error.message, error.field.removeprefix(part).lstrip(" .:"), file)
    return error.at(folder)
