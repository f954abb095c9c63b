"""WatchCall: one call of 'adaptwin watch', with running servers or with those of the twin."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from adaptwin.cli.apply_options import ApplySettings, words_of_command
from adaptwin.cli.printing import show, show_json, tell
from adaptwin.errors import SpecError

if TYPE_CHECKING:
    from adaptwin.live.watching.fleet_watch import WatchOptions
    from adaptwin.live.watching.watched_fleet import WatchedFleet
    from adaptwin.live.watching.watched_round import WatchedRound
    from adaptwin.plan.plans import Plans
    from adaptwin.progress import Progress

    Publish = Callable[[WatchedRound], None]

PLAN_FAILS = 3  # exit code of a single round
PLAN_UNKNOWN = 4


class WatchCall(NamedTuple):
    """What is watched, and how."""

    plans: "Plans"
    every: float
    options: "WatchOptions"
    rounds: int | None
    as_json: bool

    def simulated(
        self, rates: Path, start_time: float, history: Path | None, report: Path | None, *, source: str
    ) -> None:
        """Watch servers of the twin under the rates of a file to their end, and show the totals."""
        from adaptwin.cli.progress import progress_bar
        from adaptwin.live.watching.simulated_fleet import SimulatedFleet
        from adaptwin.report.watching.simulated_time import StretchTotals, write_simulated_time_report
        from adaptwin.workload.sources.rates_over_time_csv import read_rates_over_time

        try:
            listed = read_rates_over_time(rates).of_fleet(self.plans.workload)
        except SpecError as error:
            raise (error if error.file else error.at(rates)) from None
        seed = 1 if self.options.seed is None else self.options.seed
        fleet = SimulatedFleet(listed, self.every, start_time, seed)
        if not len(fleet):
            raise SpecError(f"a round of {self.every:g} s is longer than the rates", "--every")
        with progress_bar() as progress:
            self._watch(fleet, history, progress, self._shown(is_simulated=True))
        totals = StretchTotals.of(fleet.stretches, self.every)
        if self.as_json:
            show_json({"totals": totals._asdict()}, indent=None)
        else:
            show(totals.sentence())
        if report:
            write_simulated_time_report(fleet.stretches, self.every, report, source=source)
            tell(f"report written to {report}")

    def running(
        self,
        servers: Path,
        router: str | None,
        router_key_env: str | None,
        settings: ApplySettings,
        *,
        applies: bool,
        out: Path,
        on_plan: str | None,
        history: Path,
        metrics: str,
    ) -> None:
        """Watch running servers until Ctrl-C, or for the rounds that are asked for."""
        from adaptwin.cli.progress import progress_bar
        from adaptwin.live.applying.server_access import read_servers
        from adaptwin.live.connection import api_key_of_environment, server_url
        from adaptwin.live.watching.running_servers import Access, RunningServers

        read_servers(servers, None)  # a wrong file is refused before anything starts
        settings = settings._replace(api_key=settings.api_key or api_key_of_environment())
        address = server_url(router) if router else None
        access = Access(servers, address, settings.api_key, _key_of_environment(router_key_env))
        journal = out.with_name(f"{out.stem}.applied{out.suffix}")
        write_plan = _plan_writer(out, on_plan, settings.command_timeout)
        publish_metrics = _metrics_publisher(metrics)
        shown, last = self._shown(is_simulated=False), list["WatchedRound"]()

        def publish(watched: "WatchedRound") -> None:
            last[:] = [watched]
            publish_metrics(watched)
            shown(watched)

        with progress_bar() as progress:
            fleet = RunningServers(
                access,
                self.every,
                applying=partial(settings.options, journal=journal) if applies else None,
                on_found=write_plan,
                progress=progress,
            )
            self._watch(fleet, history, progress, publish)
        if self.rounds:
            _end_with_code(last)

    def _watch(self, fleet: "WatchedFleet", history: Path | None, progress: "Progress", publish: "Publish") -> None:
        from adaptwin.interruption import keeping
        from adaptwin.live.watching.fleet_watch import FleetWatch
        from adaptwin.live.watching.history import WatchHistory
        from adaptwin.live.watching.keep_watch import keep_watch
        from adaptwin.report.watching.rounds import first_line
        from adaptwin.twin.compilation import compile_twin

        compile_twin(progress)
        if not self.as_json:
            tell(first_line(self.plans, self.options.method, self.every))
        watch = FleetWatch(self.options, progress)
        with WatchHistory(history) as kept, keeping(lambda: "the history is whole, and the same command goes on"):
            keep_watch(self.plans, fleet, watch, kept, publish=publish, rounds=self.rounds)

    def _shown(self, *, is_simulated: bool) -> "Publish":
        """Return what shows a round."""
        from adaptwin.report.watching.rounds import round_data, round_text

        def shown(watched: "WatchedRound") -> None:
            if self.as_json:
                show_json(round_data(watched), indent=None)
            else:
                show(round_text(watched, is_simulated=is_simulated))

        return shown


def _end_with_code(last: "list[WatchedRound]") -> None:
    outlook = last[0].decision.outlook if last else None
    if outlook is None:
        raise typer.Exit(PLAN_UNKNOWN)
    if not outlook.holds:
        raise typer.Exit(PLAN_FAILS)


def _key_of_environment(variable: str | None) -> str | None:
    if variable and not os.environ.get(variable):
        raise SpecError(f"the environment has no {variable!r}", "--router-key-env")
    return os.environ[variable] if variable else None


def _plan_writer(out: Path, on_plan: str | None, timeout: float) -> "Callable[[Plans], None]":
    """Return what writes plans to a file and runs the command with its name."""
    from adaptwin.live.applying.command import run_command

    words = words_of_command(on_plan, "--on-plan")

    def write(found: "Plans") -> None:
        found.write(out)
        tell(f"plan written to {out}")
        if words:
            run_command((*words, str(out)), timeout)

    return write


def _metrics_publisher(address: str) -> "Publish":
    """Serve the metrics of the watch, and return what publishes a round; ``off``: nothing is published."""
    if address == "off":
        return lambda _: None
    from adaptwin.live.watching.published_metrics import PublishedMetrics

    host, _, port = address.rpartition(":")
    if not port.isdigit():
        raise SpecError(f"{address!r} is not HOST:PORT, PORT or off", "--metrics")
    published = PublishedMetrics()
    published.serve(host or "127.0.0.1", int(port))
    tell(f"metrics at http://{host or '127.0.0.1'}:{port}/metrics")
    return published.publish
