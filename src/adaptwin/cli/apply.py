"""adaptwin apply: bring running servers to a plan -> Applied."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptwin.cli.apply_options import (
    USUAL_COMMAND_TIMEOUT,
    USUAL_DRAIN,
    USUAL_SETTLE,
    AdaptersFolder,
    ApplySettings,
    CommandTimeout,
    Drain,
    LitellmFile,
    OnRoutes,
    Routed,
    RoutesPath,
    Settle,
    UnloadUnknown,
    require_routes,
)
from adaptwin.cli.help import default_note
from adaptwin.cli.options import AsJson, PlanFile
from adaptwin.cli.printing import show, show_json
from adaptwin.cli.servers import ApiKey, ServersFile
from adaptwin.errors import SpecError
from adaptwin.writable import require_writable

if TYPE_CHECKING:
    from adaptwin.live.applying.server_access import ServerAccess
    from adaptwin.live.calls import Calls
    from adaptwin.plan.plan import Plan

NOT_COMPLETE = 3  # exit code where something is left, such as a restart


def apply_command(
    plan: PlanFile,
    servers: ServersFile,
    routes: RoutesPath = None,
    on_routes: OnRoutes = None,
    command_timeout: CommandTimeout = USUAL_COMMAND_TIMEOUT,
    litellm: LitellmFile = None,
    adapters_folder: AdaptersFolder = None,
    settle: Settle = USUAL_SETTLE,
    drain: Drain = USUAL_DRAIN,
    journal: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File that keeps how far the steps of a replan are. "
            + default_note("the plan's, with .applied in its name"),
        ),
    ] = None,
    unload_unknown: UnloadUnknown = False,
    routed: Routed = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the steps, and take none.")] = False,
    print_curl: Annotated[
        bool, typer.Option("--print-curl", help="Print the steps as curl commands, and take none.")
    ] = False,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Bring running servers to a plan: load adapters, switch the routes, drain, and unload.

    No adapter is ever unserved if routers follow the routes within --settle, and each step is verified. A call that
    failed or was stopped is made again. Exit code 3: something is left to do, such as a restart; 4: a server does not
    answer or refuses a step.
    """
    from adaptwin.cli.progress import progress_bar
    from adaptwin.interruption import keeping
    from adaptwin.live.applying.apply import apply, servers_to_reach
    from adaptwin.live.applying.server_access import read_servers
    from adaptwin.live.connection import api_key_of_environment
    from adaptwin.plan.plans import Plans
    from adaptwin.report.applying import applied_report, curl_commands

    require_routes(routes, {"--on-routes": on_routes, "--litellm": litellm})
    if print_curl and as_json:
        raise SpecError("goes without --print-curl", "--json")
    journal = journal or plan.with_name(f"{plan.stem}.applied{plan.suffix}")
    require_writable(routes, litellm, inputs=[plan, servers])
    running = Plans.read(plan)
    access = read_servers(servers, servers_to_reach(running.plans))
    key = api_key or api_key_of_environment()
    settings = ApplySettings(
        routes=routes,
        on_routes=on_routes,
        command_timeout=command_timeout,
        litellm=litellm,
        adapters_folder=adapters_folder,
        settle=settle,
        drain=drain,
        unload_unknown=unload_unknown,
        routed=routed,
        api_key=key,
    )
    options = settings.options(running.plans, access, journal, dry_run=dry_run or print_curl)
    with progress_bar() as progress, keeping(lambda: "every step is whole, and the same command goes on"):
        applied = apply(running.plans, access, options, progress=progress)
    if print_curl:
        print(curl_commands(applied, _calls_of_servers(running.plans, access, adapters_folder, options.api_key)))
    elif as_json:
        show_json(applied.model_dump(mode="json", exclude_none=True))
    else:
        show(applied_report(applied))
    if not applied.is_complete and not applied.is_dry_run:
        raise typer.Exit(NOT_COMPLETE)


def _calls_of_servers(
    plans: "Sequence[Plan]", access: "Mapping[str, ServerAccess]", adapters_folder: str | None, api_key: str | None
) -> "Calls":
    """Return what calls of the servers need; keys stand in them as words that a shell looks up."""
    from adaptwin.live.applying.adapter_paths import AdapterPaths
    from adaptwin.live.calls import Calls

    paths = AdapterPaths.of_plans(plans, adapters_folder)
    return Calls(
        urls={name: each.url for name, each in access.items()},
        paths=paths.known(),
        with_key=api_key is not None,
        keys={name: key for name, each in access.items() if (key := each.key_in_shell())},
    )
