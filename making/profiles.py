"""Rebuild the two shipped profiles: write folders of measurements, fit them, and add the error on validation runs.

The folders are kept, so `adaptwin fit making/results/measurements/MODEL --out profile.yaml` repeats a fit by hand.
"""

import argparse
from pathlib import Path

from rich.console import Console

from adaptwin.calibration.compare import compare, profile_error
from adaptwin.calibration.fit import fit
from adaptwin.calibration.measured_range import measured_range
from adaptwin.calibration.measurements import Measurements
from adaptwin.cli.progress import progress_bar
from adaptwin.report.fit import fit_report
from h100_measurements import write_folder
from h100_runs import MODELS, PROJECT, measured_runs, require_data

# The benchmark kept ShareGPT's prompts and answers of up to 1,024 tokens; scaling them to the means of a tokenizer, as
# `measured_runs` does, makes a few longer.
LONGEST = {"longest_prompt": 1024, "longest_answer": 1024}
FOLDERS = Path(__file__).resolve().parent / "results" / "measurements"


def main() -> None:
    """Fit, report and write both profiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, action="append", help="model to fit; may be repeated (default: all)")
    arguments = parser.parse_args()
    require_data()
    for model in arguments.model or MODELS:
        folder = write_folder(model, FOLDERS)
        with progress_bar() as progress:
            fitted = fit(Measurements.read(folder), progress=progress)
        Console(width=100).print(fit_report(fitted, MODELS[model]))
        validation = measured_runs(model, "validation")
        error = profile_error(compare(fitted.profile, validation))
        print(f"on {error.runs} validation runs: {error}\n")
        path = PROJECT / "src" / "adaptwin" / "profile" / "data" / f"{MODELS[model]}.yaml"
        runs = [*measured_runs(model, "calibration"), *validation]
        measured = measured_range(fitted.profile, runs).model_copy(update=LONGEST)
        fitted.profile.model_copy(update={"error": error, "measured": measured}).write(path)


if __name__ == "__main__":
    main()
