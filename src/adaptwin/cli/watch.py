"""adaptwin watch: does the plan of a running fleet hold for the next hour, and what should run instead?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from adaptwin.cli.apply_options import (
    APPLY_PANEL,
    USUAL_COMMAND_TIMEOUT,
    USUAL_DRAIN,
    USUAL_SETTLE,
    AdaptersFolder,
    ApplySettings,
    CommandTimeout,
    Drain,
    LitellmFile,
    OnRoutes,
    RoutesPath,
    Settle,
    UnloadUnknown,
)
from adaptwin.cli.help import default_note
from adaptwin.cli.options import (
    SHIPPED,
    AsJson,
    CostOfMove,
    CostOfRestart,
    SurrogateName,
    surrogate_named,
    time_from_zero,
    time_span,
)
from adaptwin.cli.printing import tell
from adaptwin.cli.servers import ApiKey
from adaptwin.cli.watch_call import WatchCall
from adaptwin.errors import SpecError
from adaptwin.replanning.costs import MOVE_COST, RESTART_COST
from adaptwin.writable import require_distinct, require_writable

USUAL_METRICS = "127.0.0.1:9109"
LIVE_EVERY, SIMULATED_EVERY = 300.0, 600.0  # seconds


def watch_command(
    plan: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Plan that the servers run, as written by 'adaptwin plan --out'; needed but for --dashboard.",
            show_default=False,
        ),
    ] = None,
    servers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML file with the address of each server of the plan: NAME: {url: ..., api_key_env: ...}, or "
            "NAME: URL. It is read anew in each round.",
            show_default=False,
        ),
    ] = None,
    simulate: Annotated[
        Path | None,
        typer.Option(
            metavar="RATES",
            help="Watch servers of the twin, in place of running ones, under the rates over time of this CSV. "
            + default_note("--servers"),
            rich_help_panel="Simulated servers",
        ),
    ] = None,
    router: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Address of LiteLLM or Envoy AI Gateway, or of Prometheus, whose counters name the adapters. "
            + default_note("vLLM's own, shared as planned"),
        ),
    ] = None,
    router_key_env: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"Environment variable with the API key of --router. {default_note('none')}"),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(
            parser=time_span, metavar="TIME", help=f"Time of a round. {default_note('5m; 10m of simulated servers')}"
        ),
    ] = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="Watch for one round. Exit code 3: the plan does not hold; 4: nobody knows."),
    ] = False,
    look_back: Annotated[
        float, typer.Option(parser=time_span, metavar="TIME", help="Recent time that the forecast looks at.")
    ] = 3_600.0,
    forecast: Annotated[
        Literal["auto", "recent-maximum"],
        typer.Option(
            help="Forecast of the next hour: the recent maximum of each adapter; auto also takes the same hour of "
            "yesterday, once it was watched."
        ),
    ] = "auto",
    patience: Annotated[
        float,
        typer.Option(
            parser=time_from_zero, metavar="TIME", help="Time whose forecasts must all allow fewer GPUs to give one up."
        ),
    ] = 3_600.0,
    move_cost: CostOfMove = MOVE_COST,
    restart_cost: CostOfRestart = RESTART_COST,
    time_limit: Annotated[
        float, typer.Option(parser=time_span, metavar="TIME", help="Longest time to search for another plan.")
    ] = 120.0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"File for the plan that should run instead. {default_note('that of --plan, with .next in its name')}",
        ),
    ] = None,
    on_plan: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help="Command to run with each plan that should run instead, with its file as the last word. "
            + default_note("none"),
        ),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="SQLite database of what was seen and decided. "
            + default_note("that of --plan, with .watch.sqlite as its ending; none for simulated servers"),
        ),
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT|off",
            help="Address at which Prometheus finds the metrics of the watch; off: nowhere. Not with --once.",
        ),
    ] = USUAL_METRICS,
    dashboard: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the dashboard of Grafana for these metrics, and end. " + default_note("none")
        ),
    ] = None,
    applies: Annotated[
        bool,
        typer.Option(
            "--apply",
            help="Apply plans as 'adaptwin apply' does, instead of printing them.",
            rich_help_panel=APPLY_PANEL,
        ),
    ] = False,
    routes: RoutesPath = None,
    on_routes: OnRoutes = None,
    command_timeout: CommandTimeout = USUAL_COMMAND_TIMEOUT,
    litellm: LitellmFile = None,
    adapters_folder: AdaptersFolder = None,
    settle: Settle = USUAL_SETTLE,
    drain: Drain = USUAL_DRAIN,
    unload_unknown: UnloadUnknown = False,
    start_time: Annotated[
        float,
        typer.Option(
            parser=time_from_zero,
            metavar="TIME",
            help="Time until a server that starts serves.",
            rich_help_panel="Simulated servers",
        ),
    ] = 300.0,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="HTML page of the whole simulated time. " + default_note("none"),
            rich_help_panel="Simulated servers",
        ),
    ] = None,
    surrogate: SurrogateName = SHIPPED,
    api_key: ApiKey = None,
    as_json: AsJson = False,
    seed: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help=f"Seed of every random draw. {default_note('the seed of the plan')}"),
    ] = None,
) -> None:
    """Watch the traffic of a running fleet, and find another plan when the next hour needs one.

    In each round, the rates of the next hour are forecast from those of the last, and the twin says whether the plan
    holds with them. If it does not, or if fewer GPUs suffice for long enough, a plan with few moves is found, and
    printed or applied. --json prints a line of JSON for each round. Ctrl-C ends the watch; started again, it goes on
    with the plan that it had.
    """
    from adaptwin.live.watching.fleet_watch import WatchOptions
    from adaptwin.plan.plans import Plans

    if dashboard:
        _write_dashboard(dashboard)
        return
    if plan is None:
        raise SpecError("missing: the plan that the servers run", "--plan")
    is_simulated = simulate is not None
    if is_simulated == (servers is not None):
        raise SpecError("give --servers, or --simulate for servers of the twin", "--servers")
    of_apply = {
        "--routes": routes,
        "--on-routes": on_routes,
        "--litellm": litellm,
        "--adapters-folder": adapters_folder,
    }
    _require_none(
        is_simulated, {"--router": router, "--apply": applies, "--on-plan": on_plan}, "goes without --simulate"
    )
    _require_none(not is_simulated, {"--report": report}, "goes with --simulate")
    _require_none(not applies, of_apply, "goes with --apply")
    if applies:
        _require_routes_file(routes)
    out = out or plan.with_name(f"{plan.stem}.next{plan.suffix}")
    history = history or (None if is_simulated else plan.with_name(f"{plan.stem}.watch.sqlite"))
    inputs = [plan, *(path for path in (servers, simulate) if path)]
    require_writable(out, report, routes, litellm, inputs=inputs)
    require_distinct(out, report, routes, litellm, history, inputs=inputs)
    step = every or (SIMULATED_EVERY if is_simulated else LIVE_EVERY)
    if step > look_back:
        raise SpecError(
            f"the {look_back:.0f} s to look back to are shorter than a round of {step:.0f} s", "--look-back"
        )
    call = WatchCall(
        plans=Plans.read(plan),
        every=step,
        options=WatchOptions(
            look_back=look_back,
            patience=patience,
            method=forecast,
            move_cost=move_cost,
            restart_cost=restart_cost,
            time_limit=time_limit,
            seed=seed,
            surrogate=surrogate_named(surrogate),
            describe=not is_simulated,
        ),
        rounds=1 if once else None,
        as_json=as_json,
    )
    if simulate:
        call.simulated(simulate, start_time, history, report, source=plan.name)
        return
    assert servers is not None
    assert history is not None
    settings = ApplySettings(
        routes=routes,
        on_routes=on_routes,
        command_timeout=command_timeout,
        litellm=litellm,
        adapters_folder=adapters_folder,
        settle=settle,
        drain=drain,
        unload_unknown=unload_unknown,
        routed=False,
        api_key=api_key,
    )
    call.running(
        servers,
        router,
        router_key_env,
        settings,
        applies=applies,
        out=out,
        on_plan=on_plan,
        history=history,
        metrics="off" if once else metrics,
    )


def _require_routes_file(routes: Path | None) -> None:
    """Raise `SpecError` unless there are the routes of the plan that runs, with which changes begin."""
    if routes is None:
        raise SpecError("missing: without a routes file, nothing could be unloaded", "--routes")
    if not routes.exists():
        raise SpecError(
            "is not there: call 'adaptwin apply' with the plan that runs first, which writes it", file=routes
        )


def _require_none(applies: bool, options: "Mapping[str, object]", what: str) -> None:
    """Raise `SpecError` for the first option that is given, if this applies."""
    if applies and (given := [name for name, value in options.items() if value]):
        raise SpecError(what, given[0])


def _write_dashboard(path: Path) -> None:
    from adaptwin.report.watching.dashboard import dashboard
    from adaptwin.writing import write_atomically

    require_writable(path)
    write_atomically(path, dashboard())
    tell(f"dashboard written to {path}")
