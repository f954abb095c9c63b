"""adaptwin compare: a simulated run beside a measured one."""

import math
from pathlib import Path
from typing import Annotated

import typer

from adaptwin.cli.options import AsJson
from adaptwin.cli.printing import show, show_json


def compare_command(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Simulated run (JSON), as written by 'adaptwin simulate --out'.")
    ],
    measured: Annotated[
        Path,
        typer.Argument(metavar="MEASURED", help="Measured run (JSON): throughput, latencies, server and workload."),
    ],
    as_json: AsJson = False,
) -> None:
    """Compare a simulated run with a measured one, figure by figure."""
    from adaptwin.calibration.measurements import MeasuredRun
    from adaptwin.report.fit import comparison_rows, comparison_table
    from adaptwin.twin.run import Run

    simulated, real = Run.read(run), MeasuredRun.read(measured)
    if as_json:
        rows = {
            name: {"measured": of_real, "twin": of_twin if math.isfinite(of_twin) else None}
            for name, of_real, of_twin in comparison_rows(simulated, real)
        }
        show_json(rows)
    else:
        show(comparison_table(simulated, real))
