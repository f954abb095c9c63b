"""adaptwin apply: bring running servers to a plan -> Applied."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptwin.cli.help import default_note
from adaptwin.cli.options import AsJson, PlanFile, time_from_zero, time_span
from adaptwin.cli.printing import show, show_json
from adaptwin.cli.servers import ApiKey, ServersFile
from adaptwin.errors import SpecError
from adaptwin.writable import require_writable

if TYPE_CHECKING:
    from adaptwin.live.applying.server_access import ServerAccess
    from adaptwin.live.calls import Calls
    from adaptwin.plan.plan import Plan
    from adaptwin.plan.routes import Route

NOT_COMPLETE = 3  # exit code where something is left, such as a restart


def apply_command(
    plan: PlanFile,
    servers: ServersFile,
    routes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Routes file: the servers of every adapter with their shares, which routers such as 'adaptwin replay "
            f"--routes' follow. {default_note('none')}",
        ),
    ] = None,
    on_routes: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help="Command to run after each change of the routes, with the routes file as its last word. "
            + default_note("none"),
        ),
    ] = None,
    command_timeout: Annotated[
        float,
        typer.Option(
            parser=time_span,
            metavar="TIME",
            help="Time that the command of --on-routes may take; then it is stopped, and nothing is unloaded.",
        ),
    ] = 300.0,
    litellm: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Configuration of LiteLLM's proxy to write with each change of the routes. The proxy reads it when it "
            f"starts: restart it in --on-routes, or by hand and call again with --routed. {default_note('none')}",
        ),
    ] = None,
    adapters_folder: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help=f"Folder on the servers with the weights of adapters without an artifact. {default_note('none')}",
        ),
    ] = None,
    settle: Annotated[
        float,
        typer.Option(
            parser=time_from_zero,
            metavar="TIME",
            help="Time after a change of the routes until no router sends a request by the old ones.",
        ),
    ] = 5.0,
    drain: Annotated[
        float,
        typer.Option(
            parser=time_from_zero,
            metavar="TIME",
            help="Time that requests get to end before an adapter is unloaded; it stays loaded if they do not.",
        ),
    ] = 300.0,
    journal: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File that keeps how far the steps of a replan are. "
            + default_note("the plan's, with .applied in its name"),
        ),
    ] = None,
    unload_unknown: Annotated[
        bool, typer.Option("--unload-unknown", help="Unload adapters that the plan does not know, too.")
    ] = False,
    routed: Annotated[
        bool,
        typer.Option(
            "--routed",
            help="Requests are routed by the plan already, so unload the rest; for calls without --routes, or with "
            "--litellm and without --on-routes.",
        ),
    ] = False,
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
    from adaptwin.live.applying.apply import ApplyOptions, apply, servers_to_reach
    from adaptwin.live.applying.server_access import read_servers
    from adaptwin.live.connection import api_key_of_environment
    from adaptwin.plan.plans import Plans
    from adaptwin.report.applying import applied_report, curl_commands

    if (on_routes or litellm) and not routes:
        raise SpecError(
            "needs --routes, which tells what is switched already", "--on-routes" if on_routes else "--litellm"
        )
    if print_curl and as_json:
        raise SpecError("goes without --print-curl", "--json")
    journal = journal or plan.with_name(f"{plan.stem}.applied{plan.suffix}")
    require_writable(routes, litellm, inputs=[plan, servers])
    running = Plans.read(plan)
    access = read_servers(servers, servers_to_reach(running.plans))
    key = api_key or api_key_of_environment()
    options = ApplyOptions(
        routes_file=routes,
        command=_words(on_routes),
        command_timeout=command_timeout,
        router_restarts=litellm is not None and on_routes is None,
        on_routes=_litellm_writer(running.plans, access, litellm, has_key=key is not None),
        is_routed=routed,
        adapters_folder=adapters_folder,
        unload_unmanaged=unload_unknown,
        settle=settle,
        drain=drain,
        journal=journal,
        api_key=key,
        dry_run=dry_run or print_curl,
    )
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


def _words(command: str | None) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command or ""))
    except ValueError as error:
        raise SpecError(f"{command!r} is no command: {str(error).lower()}", "--on-routes") from None


def _litellm_writer(
    plans: "Sequence[Plan]", access: "Mapping[str, ServerAccess]", path: Path | None, *, has_key: bool
) -> "Callable[[Mapping[str, Route]], None] | None":
    """Return what writes the configuration of LiteLLM's proxy for some routes; None if none is wanted."""
    if path is None:
        return None
    from adaptwin.export.exported import exported_plan
    from adaptwin.export.options import ExportOptions, SecretKey
    from adaptwin.export.serving_plan import serving_plan_of
    from adaptwin.writing import write_atomically

    serving = serving_plan_of(plans)
    known = {name: each for name, each in access.items() if name in serving.names}
    if files := [name for name, each in known.items() if each.api_key_file]:
        raise SpecError(f"LiteLLM reads keys from its environment: give api_key_env for {files[0]}", "--litellm")
    options = ExportOptions(
        urls={name: each.url for name, each in known.items()},
        api_key=SecretKey(name="vllm", key="api-key") if has_key else None,
        api_key_envs={name: each.api_key_env for name, each in known.items() if each.api_key_env},
    )

    def write(routes: "Mapping[str, Route]") -> None:
        files = exported_plan(serving.with_routes(routes), "litellm", options).files
        write_atomically(path, next(iter(files.values())))

    return write


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
