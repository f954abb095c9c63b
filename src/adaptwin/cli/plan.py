"""adaptwin plan: a fleet -> a verified plan, a table, and a report."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from adaptwin.cli.options import AsJson, FleetFile, OutFile, ProfileNames, Seed, share, share_or_profile
from adaptwin.cli.progress import progress_bar
from adaptwin.errors import Infeasible
from adaptwin.placement.fleet import fleet_profiles, read_fleet
from adaptwin.placement.make_plan import OBJECTIVES, STRATEGIES, make_plan
from adaptwin.placement.plan import Plan
from adaptwin.report.html import write_plan_report
from adaptwin.report.text import plan_table
from adaptwin.spec import require_writable
from adaptwin.surrogate.surrogate import Surrogate, load_surrogate

app = typer.Typer(add_completion=False)


@app.command()
def plan(
    fleet: FleetFile,
    profile: ProfileNames = None,
    out: OutFile = None,
    report: Annotated[Path | None, typer.Option(help="HTML report to write.")] = None,
    objective: Annotated[str | None, typer.Option(help=f"One of: {', '.join(OBJECTIVES)}.")] = None,
    strategy: Annotated[str | None, typer.Option(help=f"One of: {', '.join(STRATEGIES)}.")] = None,
    headroom: Annotated[
        float | None,
        typer.Option(parser=share, metavar="SHARE", help="Traffic every GPU must be able to take more: 20%."),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            parser=share_or_profile,
            metavar="SHARE",
            help="Safety margin on the twin's predictions: 5%, or `profile` for as much as the profile is uncertain.",
        ),
    ] = None,
    time_limit: Annotated[float | None, typer.Option(min=0.001, help="Seconds of search at most.")] = None,
    surrogate: Annotated[
        str, typer.Option(help="Predictors that spare the twin questions: a file, `shipped`, or `none`.")
    ] = "shipped",
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Find the fewest GPUs that serve a fleet, and verify the plan."""
    require_writable(out, report)
    predictors = predictors_named(surrogate)
    described = read_fleet(fleet)
    profiles = fleet_profiles(described, fleet, profile)
    asked = described.planning
    with progress_bar() as progress:
        try:
            found = make_plan(
                profiles,
                described.workload,
                objective=objective or asked.objective,
                strategy=strategy or asked.strategy,
                headroom=asked.headroom if headroom is None else headroom,
                margin=asked.margin if margin is None else margin,
                time_limit=asked.time_limit if time_limit is None else time_limit,
                seed=described.seed if seed is None else seed,
                server=described.server,
                surrogate=predictors,
                progress=progress,
            )
        except Infeasible as error:
            raise Infeasible(f"{fleet}: {error}") from None
    if out:
        found.write(out)
    if report:
        write_plan_report(found, report)
    _show(found, as_json)
    for path, what in ((out, "plan"), (report, "report")):
        if path:
            Console(stderr=True).print(f"{what} written to {path}", highlight=False)
    if not found.verified:
        raise typer.Exit(3)


def predictors_named(name: str) -> Surrogate | Literal["shipped"] | None:
    """What an option names: the shipped predictors, none, or those of a file."""
    if name == "shipped":
        return "shipped"
    return None if name == "none" else load_surrogate(name)


def _show(found: Plan, as_json: bool) -> None:
    if as_json:
        print(found.model_dump_json(indent=1))
    else:
        Console().print(plan_table(found))
