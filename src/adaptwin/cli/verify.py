"""adaptwin verify: does a plan hold under arrivals the planner did not see?"""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from adaptwin.cli.deliver_plans import NOT_PROMISED
from adaptwin.cli.options import Arrivals, AsJson, PlanFile, StressRuns, UnderStress, runs_under_stress
from adaptwin.cli.printing import show, show_json
from adaptwin.errors import OutOfMemory, SpecError

if TYPE_CHECKING:
    from adaptwin.plan.check import Check
    from adaptwin.plan.plans import Plans
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
    """Simulate a plan again with fresh arrivals, one run per server and per planned failure.

    Exit code 0: the plan holds. 3: an adapter is starved or backlogged, or a limit on latency is exceeded.
    """
    from adaptwin.cli.late_timestamps import warn_of_late_timestamps
    from adaptwin.cli.progress import progress_bar
    from adaptwin.placement.verification.stress import stress
    from adaptwin.placement.verification.verify import verify
    from adaptwin.plan.plans import Plans
    from adaptwin.report.plan.check import check_table
    from adaptwin.report.plan.plans_table import base_heading
    from adaptwin.report.plan.server_noun import server_noun
    from adaptwin.report.plan.stress import stress_table
    from adaptwin.twin.compilation import compile_twin

    runs = runs_under_stress(under_stress, stress_runs)
    try:
        found = Plans.read(plan)
        if arrivals is not None:
            found = found.with_arrivals(arrivals)
        warn_of_late_timestamps(found.workload)
        with progress_bar() as progress:
            compile_twin(progress)
            checks = [verify(each, seed) for each in found.plans]
            stressed = [stress(each, runs=runs, seed=seed, progress=progress) if runs else None for each in found.plans]
    except OutOfMemory as error:
        raise OutOfMemory(f"{plan}: {error}") from None
    except SpecError as error:
        raise (error if error.file else error.at(plan)) from None
    if as_json:
        show_json(_checks_as_data(found, list(map(_check_as_data, checks, stressed))))
    else:
        for each, check, under in zip(found.plans, checks, stressed, strict=True):
            tables = (stress_table(under, server_noun(each)),) if under else ()
            show(*base_heading(found, each), check_table(check), *tables)
    if not all(check.ok for check in checks):
        raise typer.Exit(NOT_PROMISED)


def _checks_as_data(found: "Plans", checks: list[dict[str, object]]) -> dict[str, object]:
    """The check of a single plan, or those of several with their base models."""
    if not found.are_several:
        return checks[0]
    of_bases = [{"base": plan.base, **check} for plan, check in zip(found.plans, checks, strict=True)]
    return {"ok": all(check["ok"] for check in checks), "plans": of_bases}


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
