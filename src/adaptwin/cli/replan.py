"""adaptwin replan: a plan that runs and a changed fleet -> a new plan, and the steps to it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptwin.cli.deliver_plans import deliver_plans
from adaptwin.cli.help import default_note
from adaptwin.cli.inputs import files_of_fleet, files_of_options, files_of_workload
from adaptwin.cli.lengths import InputMean, LengthsOption, OutputMean, lengths_of_options, with_lengths
from adaptwin.cli.options import (
    SHIPPED,
    AsJson,
    CostOfMove,
    CostOfRestart,
    FleetFile,
    OutFile,
    PlanFile,
    ReportFile,
    SkipUnsupported,
    SurrogateName,
    surrogate_named,
    time_span,
)
from adaptwin.cli.rates_over_time import tell_rates_unused
from adaptwin.errors import Infeasible, SpecError
from adaptwin.replanning.costs import MOVE_COST, RESTART_COST
from adaptwin.writable import require_distinct, require_writable

if TYPE_CHECKING:
    from adaptwin.plan.fleet import Fleet
    from adaptwin.plan.plan import Plan


def replan_command(
    plan: PlanFile,
    fleet: FleetFile,
    out: OutFile = None,
    report: ReportFile = None,
    as_json: AsJson = False,
    move_cost: CostOfMove = MOVE_COST,
    restart_cost: CostOfRestart = RESTART_COST,
    time_limit: Annotated[
        float | None,
        typer.Option(
            parser=time_span,
            metavar="TIME",
            help=f"Longest time to search, such as 90s or 5m. {default_note('no limit')}",
        ),
    ] = None,
    lengths: LengthsOption = None,
    input_mean: InputMean = None,
    output_mean: OutputMean = None,
    skip_unsupported: SkipUnsupported = False,
    surrogate: SurrogateName = SHIPPED,
    seed: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help=f"Seed of every random draw. {default_note('the seed of the plan')}"),
    ] = None,
) -> None:
    """Change a running plan as little as a new fleet allows, and list the steps.

    Profile, given server settings, strategy, headroom and margin stay as in the running plan. Servers keep the settings
    that were chosen for them unless they restart. A fleet that names another profile or other settings is refused; the
    planning section of the fleet is not used. Adapters without lengths keep those of the running plan. In a plan for
    several base models, each is changed on its own. Costs are in GPUs: with --move-cost 0.01, saving a GPU is worth up
    to 100 moves.
    """
    from adaptwin.cli.late_timestamps import warn_of_late_timestamps
    from adaptwin.cli.progress import progress_bar
    from adaptwin.cli.servable import servable_by_base
    from adaptwin.plan.fleet import read_fleet
    from adaptwin.plan.plans import Plans
    from adaptwin.replanning.known_lengths import with_known_lengths
    from adaptwin.replanning.replan_plans import replan_plans
    from adaptwin.twin.verdict import require_long_enough

    require_writable(out, report, inputs=[plan, fleet, *files_of_options(lengths, surrogate)])
    known = surrogate_named(surrogate)
    running = Plans.read(plan)
    fleet_read = with_lengths(read_fleet(fleet), lengths_of_options(lengths, input_mean, output_mean))
    inputs = [*files_of_fleet(fleet_read, fleet), *files_of_workload(running.workload)]
    require_distinct(out, report, inputs=inputs)
    try:
        require_long_enough(fleet_read)
    except SpecError as error:
        raise error.at(fleet) from None
    profiles = [profile for each in running.plans for profile in each.profiles]
    fleet_read = servable_by_base(fleet_read, profiles, fleet, skip_unsupported)
    warn_of_late_timestamps(fleet_read)
    tell_rates_unused(fleet_read)
    with progress_bar() as progress:
        try:
            for each in running.plans:
                _require_same_servers(each, fleet_read, fleet)
            found = replan_plans(
                running,
                with_known_lengths(fleet_read.workload, running.workload),
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
    deliver_plans(found, out, report, as_json, surrogate=known)


def _require_same_servers(running: "Plan", fleet: "Fleet", path: Path) -> None:
    """Raise `SpecError` where the fleet names a profile or settings that the running servers do not have."""
    from adaptwin.plan.fleet import fleet_profiles

    if not running.servers:
        return
    first = running.servers[0]
    named = {profile.name: profile for profile in fleet_profiles(fleet, path)} if fleet.profile else {}
    if named and first.profile not in named:
        what = f"{', '.join(named)}, but the plan runs on {first.profile}: make a new plan for other GPUs"
        raise SpecError(what, "profile", path)
    if named and named[first.profile].fingerprint != running.profile_of(first).fingerprint:
        what = f"{first.profile} has other constants, model or version than in the plan: make a new plan"
        raise SpecError(what, "profile", path)
    for name in fleet.server.model_fields_set:
        wanted, has = getattr(fleet.server, name), getattr(running.settings, name)
        if wanted != has:
            was = f"the plan was made with {'a choice of its own' if has is None else has}"
            raise SpecError(f"{wanted}, but {was}: make a new plan", f"server.{name}", path)
