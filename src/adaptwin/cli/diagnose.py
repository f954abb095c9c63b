"""adaptwin diagnose: what binds running servers, and which one change ends it -> Diagnoses."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptwin.cli.help import default_note
from adaptwin.cli.options import AsJson, time_span
from adaptwin.cli.printing import show, show_json
from adaptwin.cli.profile_options import complete_profile
from adaptwin.cli.servers import ApiKey
from adaptwin.errors import ServerError

if TYPE_CHECKING:
    from adaptwin.plan.fleet import Fleet
    from adaptwin.plan.plan import Plan
    from adaptwin.profile.profile import Profile

IN_TROUBLE = 3  # exit code where something binds a server


def diagnose_command(
    url: Annotated[
        list[str],
        typer.Argument(
            metavar="URL...",
            help="Addresses of vLLM servers, or of a Prometheus server that scrapes them; with a plan, in the order of "
            "its servers or as NAME=URL.",
        ),
    ],
    plan: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"Plan by which the servers run: the twin is asked what ends the trouble. {default_note('none')}",
        ),
    ] = None,
    fleet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"Fleet file or CSV that the servers share evenly, in place of a plan. {default_note('none')}",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=complete_profile,
            help=f"Shipped profile or profile file, with --fleet. {default_note('that of the fleet')}",
        ),
    ] = None,
    watch: Annotated[
        float | None,
        typer.Option(
            parser=time_span,
            metavar="TIME",
            help="Time over which metrics are read, such as 30s. "
            + default_note("10s; of Prometheus, what it has of the last 2 minutes"),
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(min=2, metavar="N", help=f"Number of readings. {default_note('one each second')}"),
    ] = None,
    max_num_seqs: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="The servers' max_num_seqs, which their metrics do not say. "
            + default_note("that of the plan or fleet; else unknown"),
        ),
    ] = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Say what binds running servers, which adapters wait, and which one change ends it.

    Metrics are read for some seconds; nothing is changed or loaded. Exit code 0: nothing is known to be wrong. 3:
    something binds a server. 4: a server cannot be read.
    """
    from adaptwin.cli.progress import progress_bar
    from adaptwin.live.addresses import addresses_of
    from adaptwin.live.connection import api_key_of_environment
    from adaptwin.live.diagnose import diagnose
    from adaptwin.report.diagnosis import diagnoses_report

    addresses, source = addresses_of(url), _source(plan, fleet, profile)
    with progress_bar() as progress:
        found = diagnose(
            addresses,
            source,
            seconds=watch,
            readings=samples,
            max_num_seqs=max_num_seqs,
            api_key=api_key or api_key_of_environment(),
            progress=progress,
        )
    if as_json:
        show_json(found.model_dump_json(indent=1))
    else:
        show(diagnoses_report(found))
    if found.unreadable:
        raise ServerError(found.unreadable[0].error, found.unreadable[0].url)
    if found.is_trouble:
        raise typer.Exit(IN_TROUBLE)


def _source(plan: Path | None, fleet: Path | None, profile: str | None) -> "Plan | tuple[Fleet, Profile] | None":
    """Return what should run: a plan, a fleet with its profile, or nothing that is known."""
    from adaptwin.plan.fleet import fleet_profiles, read_fleet
    from adaptwin.plan.plan import Plan

    if plan and fleet:
        raise typer.BadParameter("--fleet does not go with --plan: a plan has its fleet")
    if profile and not fleet:
        raise typer.BadParameter("--profile needs --fleet")
    if plan:
        return Plan.read(plan)
    if fleet is None:
        return None
    found = read_fleet(fleet)
    return found, fleet_profiles(found, fleet, [profile] if profile else None)[0]
