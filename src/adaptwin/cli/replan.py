"""adaptwin replan: a plan that runs and a changed fleet -> a new plan, and the steps to it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group

from adaptwin.cli.options import AsJson, FleetFile, OutFile, PlanFile
from adaptwin.cli.plan import deliver, surrogate_named
from adaptwin.cli.progress import progress_bar
from adaptwin.errors import Infeasible, SpecError
from adaptwin.placement.fleet import Fleet, fleet_profiles, read_fleet
from adaptwin.plan.plan import Plan
from adaptwin.replanning.replan import MOVE_COST, RESTART_COST, replan
from adaptwin.report.plan.migration import migration_table
from adaptwin.report.plan.table import plan_table
from adaptwin.spec import require_writable


def replan_command(
    plan: PlanFile,
    fleet: FleetFile,
    out: OutFile = None,
    report: Annotated[Path | None, typer.Option(help="HTML report to write.")] = None,
    move_cost: Annotated[
        float, typer.Option(min=0, help="What moving an adapter that is served now costs, in GPUs.")
    ] = MOVE_COST,
    restart_cost: Annotated[float, typer.Option(min=0, help="What restarting a server costs, in GPUs.")] = RESTART_COST,
    time_limit: Annotated[float | None, typer.Option(min=0.001, help="Seconds of search at most.")] = None,
    surrogate: Annotated[
        str, typer.Option(help="Surrogate that answers where it is sure: a file, `shipped`, or `none`.")
    ] = "shipped",
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of every random draw; by default the plan's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Change a running plan as little as a new fleet allows, and list the steps.

    Profile, settings, strategy, headroom and margin are those of the plan that runs; a fleet that names another profile
    or other settings is refused. What the fleet says of planning is not used.
    """
    require_writable(out, report)
    known = surrogate_named(surrogate)
    running, described = Plan.read(plan), read_fleet(fleet)
    with progress_bar() as progress:
        try:
            _require_same_servers(running, described, fleet)
            found = replan(
                running,
                described.workload,
                move_cost=move_cost,
                restart_cost=restart_cost,
                seed=seed,
                time_limit=time_limit,
                surrogate=known,
                progress=progress,
            )
        except Infeasible as error:
            raise Infeasible(f"{fleet}: {error}") from None
        except SpecError as error:
            raise (error if error.file else error.at(plan)) from None
    deliver(found, out, report, lambda: _show_migration(found, as_json))


def _require_same_servers(running: Plan, described: Fleet, path: Path) -> None:
    """Raise `SpecError` where the fleet names a profile or settings that the running servers do not have."""
    if not running.servers:
        return
    first = running.servers[0]
    named = [profile.name for profile in fleet_profiles(described, path)] if described.profile else [first.profile]
    if first.profile not in named:
        what = f"{', '.join(named)}, but the plan runs on {first.profile}: make a new plan for other GPUs"
        raise SpecError(what, "profile", path)
    for name in described.server.model_fields_set:
        wanted, has = getattr(described.server, name), getattr(first.server, name)
        if wanted != has:
            raise SpecError(f"{wanted}, but the plan's servers run with {has}: make a new plan", f"server.{name}", path)


def _show_migration(found: Plan, as_json: bool) -> None:
    if as_json:
        print(found.model_dump_json(indent=1))
    else:
        assert found.migration
        Console().print(Group(plan_table(found), migration_table(found.migration, found.gpus)))
