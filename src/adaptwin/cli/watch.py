"""adaptwin watch: does the plan of a running fleet hold for the next hour, and what should run instead?"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
    command_words,
)
from adaptwin.cli.help import default_note
from adaptwin.cli.options import SHIPPED, AsJson, SurrogateName, surrogate_named, time_from_zero, time_span
from adaptwin.cli.printing import show, show_json, tell
from adaptwin.cli.servers import ApiKey
from adaptwin.errors import SpecError
from adaptwin.replanning.costs import MOVE_COST, RESTART_COST
from adaptwin.writable import require_distinct, require_writable

if TYPE_CHECKING:
    from adaptwin.live.watching.running_servers import RunningServers
    from adaptwin.live.watching.simulated_fleet import SimulatedFleet
    from adaptwin.live.watching.watched_round import WatchedRound
    from adaptwin.plan.plans import Plans

DOES_NOT_HOLD = 3  # exit code of --once
NOT_KNOWN = 4
USUAL_METRICS = "127.0.0.1:9109"
LIVE_EVERY, SIMULATED_EVERY = 300.0, 600.0  # seconds


def watch_command(
    plan: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Plan that the servers run, as written by 'adaptwin plan --out'."),
    ] = None,
    servers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML file with the address of each server of the plan: NAME: {url: ..., api_key_env: ...}, or "
            "NAME: URL. It is read anew in each round.",
        ),
    ] = None,
    simulate: Annotated[
        Path | None,
        typer.Option(
            metavar="RATES",
            help="Watch servers of the twin, in place of running ones, under the rates over time of this CSV.",
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
    move_cost: Annotated[
        float, typer.Option(min=0, metavar="GPUS", help="Cost of moving an adapter that is being served.")
    ] = MOVE_COST,
    restart_cost: Annotated[
        float, typer.Option(min=0, metavar="GPUS", help="Cost of restarting a server.")
    ] = RESTART_COST,
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
        typer.Option(metavar="FILE", help="Write the dashboard of Grafana for these metrics, and end."),
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
            metavar="FILE", help="HTML page of the whole simulated time.", rich_help_panel="Simulated servers"
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
    from adaptwin.cli.progress import progress_bar
    from adaptwin.interruption import keeping
    from adaptwin.live.connection import api_key_of_environment, server_url
    from adaptwin.live.watching.fleet_watch import FleetWatch, WatchOptions
    from adaptwin.live.watching.history import WatchHistory
    from adaptwin.live.watching.keep_watch import keep_watch
    from adaptwin.live.watching.running_servers import Access, RunningServers
    from adaptwin.plan.plans import Plans
    from adaptwin.report.watching.rounds import first_line, round_data, round_text
    from adaptwin.twin.compilation import compile_twin

    if dashboard:
        _write_dashboard(dashboard)
        return
    if plan is None:
        raise SpecError("missing: the plan that the servers run", "--plan")
    if (servers is None) == (simulate is None):
        raise SpecError("give --servers, or --simulate for servers of the twin", "--servers")
    apply_only = {
        "--routes": routes,
        "--on-routes": on_routes,
        "--litellm": litellm,
        "--adapters-folder": adapters_folder,
    }
    _require_no_others(simulate is not None, {"--report": report}, {"--router": router, "--apply": applies or None})
    if not applies and (given := [name for name, value in apply_only.items() if value]):
        raise SpecError("needs --apply", given[0])
    if applies and routes is None:
        raise SpecError("missing: without a routes file, nothing could be unloaded", "--routes")
    out = out or plan.with_name(f"{plan.stem}.next{plan.suffix}")
    if history is None and simulate is None:
        history = plan.with_name(f"{plan.stem}.watch.sqlite")
    inputs = [plan, *(path for path in (servers, simulate) if path)]
    require_writable(out, report, routes, litellm, inputs=inputs)
    require_distinct(out, report, inputs=inputs)
    running = Plans.read(plan)
    options = WatchOptions(
        look_back=look_back,
        patience=patience,
        method=forecast,
        move_cost=move_cost,
        restart_cost=restart_cost,
        time_limit=time_limit,
        seed=seed,
        surrogate=surrogate_named(surrogate),
    )
    step = every or (SIMULATED_EVERY if simulate else LIVE_EVERY)
    last: list[WatchedRound] = []
    with progress_bar() as progress:
        compile_twin(progress)
        fleet: SimulatedFleet | RunningServers
        if simulate:
            fleet = _simulated_fleet(simulate, running, step, start_time, seed)
        else:
            assert servers is not None
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
                api_key=api_key or api_key_of_environment(),
            )
            fleet = RunningServers(
                Access(servers, server_url(router) if router else None, settings.api_key, _key(router_key_env)),
                step,
                applying=partial(settings.options, journal=out.with_name(f"{out.stem}.applied{out.suffix}"))
                if applies
                else None,
                on_found=_plan_writer(out, on_plan, command_timeout),
                progress=progress,
            )
        publish_metrics = _metrics_publisher(metrics, wanted=not once and simulate is None)

        def publish(watched: "WatchedRound") -> None:
            last[:] = [watched]
            if publish_metrics:
                publish_metrics(watched)
            if as_json:
                show_json(round_data(watched), indent=None)
            else:
                show(round_text(watched, is_simulated=simulate is not None))

        if not as_json:
            how = "the recent maximum" if forecast != "auto" else "the recent maximum and, once known, yesterday's"
            tell(first_line(running, how, step))
        with WatchHistory(history) as kept, keeping(lambda: "the history is whole, and the same command goes on"):
            keep_watch(running, fleet, FleetWatch(options, progress), kept, publish=publish, rounds=1 if once else None)
    if simulate:
        _show_simulated_time(fleet, step, report, plan, as_json)
    if once:
        _end_with_code(last)


def _end_with_code(last: "Sequence[WatchedRound]") -> None:
    kind = last[0].decision.kind if last else "unknown"
    if kind in ("change", "impossible", "waits"):
        raise typer.Exit(DOES_NOT_HOLD)
    if kind == "unknown":
        raise typer.Exit(NOT_KNOWN)


def _require_no_others(is_simulated: bool, simulated: dict[str, object], live: dict[str, object]) -> None:
    """Raise `SpecError` for an option that goes with the other kind of servers."""
    for name, value in (live if is_simulated else simulated).items():
        if value is not None:
            raise SpecError(f"goes {'without' if is_simulated else 'with'} --simulate", name)


def _write_dashboard(path: Path) -> None:
    from adaptwin.report.watching.dashboard import dashboard
    from adaptwin.writing import write_atomically

    require_writable(path)
    write_atomically(path, dashboard())
    tell(f"dashboard written to {path}")


def _simulated_fleet(path: Path, plans: "Plans", every: float, start_time: float, seed: int | None) -> "SimulatedFleet":
    from adaptwin.live.watching.simulated_fleet import SimulatedFleet
    from adaptwin.workload.sources.rates_by_period import read_rates_over_time

    rates = read_rates_over_time(path, [adapter.name for adapter in plans.workload.adapters])
    return SimulatedFleet(rates, every, start_time, 1 if seed is None else seed)


def _key(variable: str | None) -> str | None:
    if variable and not os.environ.get(variable):
        raise SpecError(f"the environment has no {variable!r}", "--router-key-env")
    return os.environ[variable] if variable else None


def _plan_writer(out: Path, on_plan: str | None, timeout: float) -> "Callable[[Plans], None]":
    """Return what writes plans to a file and runs the command with its name."""
    from adaptwin.live.applying.command import run_command

    words = command_words(on_plan, "--on-plan")

    def write(found: "Plans") -> None:
        found.write(out)
        tell(f"plan written to {out}")
        if words:
            run_command((*words, str(out)), timeout)

    return write


def _metrics_publisher(address: str, *, wanted: bool) -> "Callable[[WatchedRound], None] | None":
    """Serve the metrics of the watch, and return what publishes a round; None if none are wanted."""
    if not wanted or address == "off":
        return None
    from adaptwin.live.watching.published_metrics import PublishedMetrics

    host, _, port = address.rpartition(":")
    if not port.isdigit():
        raise SpecError(f"{address!r} is not HOST:PORT, PORT or off", "--metrics")
    published = PublishedMetrics()
    published.serve(host or "127.0.0.1", int(port))
    tell(f"metrics at http://{host or '127.0.0.1'}:{port}/metrics")
    return published.publish


def _show_simulated_time(
    fleet: "SimulatedFleet | RunningServers", every: float, report: Path | None, plan: Path, as_json: bool
) -> None:
    """Show the totals of a simulated time, and write its page."""
    from adaptwin.live.watching.simulated_fleet import SimulatedFleet
    from adaptwin.report.watching.simulated_time import StretchTotals, write_simulated_time_report

    assert isinstance(fleet, SimulatedFleet)
    totals = StretchTotals.of(fleet.stretches, every)
    if as_json:
        show_json({"totals": totals._asdict()}, indent=None)
    else:
        show(totals.sentence())
    if report:
        write_simulated_time_report({"watch": fleet.stretches}, every, report, source=plan.name)
        tell(f"report written to {report}")
