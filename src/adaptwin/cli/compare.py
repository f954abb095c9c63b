"""adaptwin compare: the twin beside what was measured, figure by figure."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptwin.cli.options import AsJson, ReportFile
from adaptwin.cli.printing import show, show_json
from adaptwin.errors import SpecError
from adaptwin.file_kinds import PLAN, PLANS, PROFILE, kinds_of
from adaptwin.profile.profile import is_profile_file, load_profile
from adaptwin.writable import require_writable

if TYPE_CHECKING:
    from adaptwin.live.comparison import Comparison
    from adaptwin.live.observation import Observation
    from adaptwin.plan.plan import Plan
    from adaptwin.profile.profile import Profile
    from adaptwin.twin.run import Run


def compare_command(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Simulated run (JSON), as written by 'adaptwin simulate --out'; or a profile, by name or file, or the "
            "plan that was replayed: then the twin simulates what was measured, with the same requests.",
        ),
    ],
    measured: Annotated[
        list[Path],
        typer.Argument(
            metavar="MEASURED",
            help="Results of 'adaptwin replay', measured runs as in runs.json, or results of vllm bench serve, "
            "guidellm or inference-perf. Several may be repeats, or other servers.",
        ),
    ],
    report: ReportFile = None,
    as_json: AsJson = False,
) -> None:
    """Compare the twin with what was measured, figure by figure.

    Errors are those of the twin, in per cent of what was measured. Of several measured runs of the same server with the
    same requests, the median is compared, and the spread says how much they differ from each other.

    Throughput counts the tokens of prompts and answers: that of a benchmark is converted, or left out if it does not
    say the tokens of prompts.

    Exit code 1: a comparison would be meaningless, because settings of the server, adapters, duration, window or
    warm-up differ, or because the traffic is another. What only blurs it, such as another seed, a short window, failed
    requests or a client that did not keep up, is listed below the tables. Exit code 2: the server would not start with
    the profile.
    """
    from adaptwin.live.measured_files import read_observations
    from adaptwin.report.comparison.page import write_comparison_report
    from adaptwin.report.comparison.plain_form import comparison_form
    from adaptwin.report.comparison.table import comparison_table

    require_writable(report, inputs=[run, *measured])
    simulated = _run_or_how_to_simulate(run)
    found = _compared(simulated, run, [seen for path in measured for seen in read_observations(path)])
    if report:
        write_comparison_report(found, report)
    if as_json:
        show_json(comparison_form(found))
    else:
        show(comparison_table(found))


def _run_or_how_to_simulate(name: str) -> "Run | Plan | Profile":
    """Read a simulated run, or a plan or profile with which to simulate; only a profile may be a shipped one."""
    from adaptwin.plan.plan import Plan
    from adaptwin.twin.run import Run

    kinds = kinds_of(name)
    if PLANS in kinds:
        raise SpecError("holds plans for several base models: compare the plan of each", file=name)
    if PLAN in kinds:
        return Plan.read(name)
    if PROFILE in kinds or not (is_profile_file(name) or os.path.exists(name)):
        return load_profile(name)
    return Run.read(name)


def _compared(simulated: "Run | Plan | Profile", name: str, observations: "list[Observation]") -> "Comparison":
    from adaptwin.cli.progress import progress_bar
    from adaptwin.live.compare_measured import compare_with_plan, compare_with_profile, compare_with_run
    from adaptwin.plan.plan import Plan
    from adaptwin.twin.run import Run

    if isinstance(simulated, Run):
        return compare_with_run(simulated, name, observations)
    with progress_bar() as progress:
        if isinstance(simulated, Plan):
            return compare_with_plan(simulated, name, observations, progress=progress)
        return compare_with_profile(simulated, observations, progress=progress)
