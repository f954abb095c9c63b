"""adaptwin fit: a folder of measurements -> Profile."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptwin.calibration.fit_rounds import FIT_ROUNDS
from adaptwin.cli.help import default_note
from adaptwin.cli.inputs import files_of_options
from adaptwin.cli.options import AsJson, OutFile
from adaptwin.cli.printing import show, show_json, tell
from adaptwin.errors import SpecError
from adaptwin.writable import require_distinct, require_writable

if TYPE_CHECKING:
    from adaptwin.calibration.fit import Fit


def fit_command(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of measurements: setup.yaml and what was measured.")
    ],
    out: OutFile = None,
    as_json: AsJson = False,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="PROFILE",
            help="Profile, by name or file, for what the measurements do not determine; takes precedence over "
            f"start: in setup.yaml. {default_note('start: in setup.yaml')}",
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of times that every run is simulated at its measured pace.")
    ] = FIT_ROUNDS,
) -> None:
    """Fit a profile to measurements of a server, and report its errors and what they do not determine.

    The folder holds setup.yaml and any of memory, loads, planning, steps (Parquet or CSV) and runs.json.
    docs/reference/measurements.md describes their columns.
    """
    from adaptwin.calibration.fit import fit
    from adaptwin.calibration.measurements import Measurements
    from adaptwin.calibration.plausible import located
    from adaptwin.cli.progress import progress_bar
    from adaptwin.report.fit import fit_report

    require_writable(out, inputs=[*_files_in(folder), *files_of_options(start)])
    measurements = Measurements.read(folder)
    if start is not None:
        measurements = measurements._replace(setup=measurements.setup.model_copy(update={"start": start}))
    require_distinct(out, inputs=files_of_options(measurements.setup.start))
    with progress_bar() as progress:
        try:
            fitted = fit(measurements, rounds=rounds, progress=progress)
        except ImportError as error:
            raise SpecError(str(error)) from None
        except SpecError as error:
            by_option = start is not None and error.field == "setup.start"
            raise (SpecError(error.message, "--start") if by_option else located(error, folder)) from None
    if out:
        fitted.profile.write(out)
    if as_json:
        show_json(_fit_as_data(fitted))
    else:
        show(fit_report(fitted, measurements.setup.start or ""))
    if out:
        tell(f"profile written to {out}")


def _files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _fit_as_data(fitted: "Fit") -> dict[str, Any]:
    return {
        "profile": fitted.profile.file_form(),
        "residuals": [part._asdict() for part in fitted.residuals],
        "warnings": fitted.warnings,
        "undetermined": [constant._asdict() for constant in fitted.undetermined],
    }
