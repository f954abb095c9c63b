"""adaptwin verify: does a plan hold under arrivals the planner did not see?"""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from adaptwin.cli.options import Arrivals, AsJson, PlanFile, StressRuns, UnderStress, runs_under_stress
from adaptwin.cli.plan import NOT_PROMISED
from adaptwin.cli.printing import show, show_json
from adaptwin.errors import OutOfMemory, SpecError

if TYPE_CHECKING:
    from adaptwin.plan.check import Check
    from adaptwin.plan.stress import Stress


def verify_command(
    plan: PlanFile,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Seed of the arrivals; the planner used other seeds.")
    ] = 1,
    under_stress: UnderStress = False,
    stress_runs: StressRuns = None,
    arrivals: Arrivals = None,
    as_json: AsJson = False,
) -> None:
    """Simulate a plan again with fresh arrivals, one run per GPU and per planned failure.

    Exit code 0: the plan holds. 3: an adapter is starved or backlogged, or a limit on latency is exceeded.
    """
    from adaptwin.cli.late_timestamps import warn_of_late_timestamps
    from adaptwin.cli.progress import progress_bar
    from adaptwin.placement.verification.stress import stress
    from adaptwin.placement.verification.verify import verify
    from adaptwin.plan.plan import Plan
    from adaptwin.report.plan.check import check_table
    from adaptwin.report.plan.stress import stress_table
    from adaptwin.twin.compilation import compile_twin

    runs = runs_under_stress(under_stress, stress_runs)
    try:
        found = Plan.read(plan)
        if arrivals is not None:
            found = found.model_copy(update={"workload": found.workload.with_arrivals(arrivals)})
        warn_of_late_timestamps(found.workload)
        with progress_bar() as progress:
            compile_twin(progress)
            check = verify(found, seed)
            stressed = stress(found, runs=runs, seed=seed, progress=progress) if runs else None
    except OutOfMemory as error:
        raise OutOfMemory(f"{plan}: {error}") from None
    except SpecError as error:
        raise (error if error.file else error.at(plan)) from None
    if as_json:
        show_json(_check_as_data(check, stressed))
    else:
        show(check_table(check), *((stress_table(stressed),) if stressed else ()))
    if not check.ok:
        raise typer.Exit(NOT_PROMISED)


def _check_as_data(check: "Check", stressed: "Stress | None") -> dict[str, object]:
    runs = [json.loads(run.to_json()) for run in check.runs]
    failovers = [{"failed": state.failed, "failures": state.failures} for state in check.failovers]
    data = {
        "ok": check.ok,
        "seed": check.seed,
        "failures": check.failures,
        "assumptions": check.assumptions,
        "runs": runs,
        "failovers": failovers,
    }
    return data if stressed is None else {**data, "stress": stressed.model_dump(mode="json")}
