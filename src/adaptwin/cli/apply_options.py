"""Options of the commands that apply a plan, and what they come to."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from adaptwin.cli.help import default_note
from adaptwin.cli.options import time_from_zero, time_span
from adaptwin.errors import SpecError

if TYPE_CHECKING:
    from adaptwin.live.applying.apply import ApplyOptions
    from adaptwin.live.applying.server_access import ServerAccess
    from adaptwin.plan.plan import Plan
    from adaptwin.plan.routes import Route

APPLY_PANEL = "Apply"
USUAL_SETTLE, USUAL_DRAIN, USUAL_COMMAND_TIMEOUT = 5.0, 300.0, 300.0  # seconds

RoutesPath = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Routes file: the servers of every adapter with their shares, which routers such as 'adaptwin replay "
        f"--routes' follow. {default_note('none')}",
    ),
]
OnRoutes = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND",
        help="Command to run after each change of the routes, with the routes file as its last word. "
        + default_note("none"),
    ),
]
CommandTimeout = Annotated[
    float,
    typer.Option(
        parser=time_span,
        metavar="TIME",
        help="Time that the command of --on-routes may take; then it is stopped, and nothing is unloaded.",
    ),
]
LitellmFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Configuration of LiteLLM's proxy to write with each change of the routes. The proxy reads it when it "
        f"starts: restart it in --on-routes, or by hand and call again with --routed. {default_note('none')}",
    ),
]
AdaptersFolder = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        help=f"Folder on the servers with the weights of adapters without an artifact. {default_note('none')}",
    ),
]
Settle = Annotated[
    float,
    typer.Option(
        parser=time_from_zero,
        metavar="TIME",
        help="Time after a change of the routes until no router sends a request by the old ones.",
    ),
]
Drain = Annotated[
    float,
    typer.Option(
        parser=time_from_zero,
        metavar="TIME",
        help="Time that requests get to end before an adapter is unloaded; it stays loaded if they do not.",
    ),
]
UnloadUnknown = Annotated[
    bool, typer.Option("--unload-unknown", help="Unload adapters that the plan does not know, too.")
]
Routed = Annotated[
    bool,
    typer.Option(
        "--routed",
        help="Requests are routed by the plan already, so unload the rest; for calls without --routes, or with "
        "--litellm and without --on-routes.",
    ),
]


class ApplySettings(NamedTuple):
    """How the command line wants a plan to be applied."""

    routes: Path | None
    on_routes: str | None
    command_timeout: float
    litellm: Path | None
    adapters_folder: str | None
    settle: float
    drain: float
    unload_unknown: bool
    routed: bool
    api_key: str | None

    def options(
        self, plans: "Sequence[Plan]", access: "Mapping[str, ServerAccess]", journal: Path, *, dry_run: bool = False
    ) -> "ApplyOptions":
        """Return the options with which plans are applied to these servers."""
        from adaptwin.live.applying.apply import ApplyOptions

        return ApplyOptions(
            routes_file=self.routes,
            command=words_of_command(self.on_routes, "--on-routes"),
            command_timeout=self.command_timeout,
            router_restarts=self.litellm is not None and self.on_routes is None,
            on_routes=_litellm_writer(plans, access, self.litellm, has_key=self.api_key is not None),
            is_routed=self.routed,
            adapters_folder=self.adapters_folder,
            unload_unmanaged=self.unload_unknown,
            settle=self.settle,
            drain=self.drain,
            journal=journal,
            api_key=self.api_key,
            dry_run=dry_run,
        )


def require_routes(routes: Path | None, others: "Mapping[str, object]") -> None:
    """Raise `SpecError` for an option that needs a routes file, where there is none."""
    if routes is None and (given := [name for name, value in others.items() if value]):
        raise SpecError("needs --routes, which tells what is switched already", given[0])


def words_of_command(command: str | None, option: str) -> tuple[str, ...]:
    """Return the words of a command, as a shell would split them; none for None. Raises `SpecError`."""
    try:
        return tuple(shlex.split(command or ""))
    except ValueError as error:
        raise SpecError(f"{command!r} is no command: {str(error).lower()}", option) from None


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
