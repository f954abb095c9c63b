"""SimulatedFleet: servers of the twin in place of real ones, under traffic that changes over the day.

Every stretch of time is simulated from an empty server on, with its mean rates. Adapters that move are in
place at once; a server that starts, or restarts, takes a while, in which the plans before keep running.
"""

import math
from collections.abc import Mapping

import numpy as np

from adaptwin.live.metering.router_counters import Counted
from adaptwin.live.watching.ask_twin import expected_runs, overloaded_adapters
from adaptwin.live.watching.expected_workload import expected_workload
from adaptwin.live.watching.observed import Observed, ObservedServer
from adaptwin.live.watching.simulated_stretch import SimulatedStretch
from adaptwin.live.watching.watched_fleet import FleetChange
from adaptwin.plan.migration import Step
from adaptwin.plan.plans import Plans
from adaptwin.twin.run import Run
from adaptwin.workload.drawing.seeds import stream_seed
from adaptwin.workload.rates_over_time import RatesOverTime
from adaptwin.workload.workload import Workload

START_SECONDS = 300.0  # until a server that starts serves: loading a model, compiling, capturing graphs


class SimulatedFleet:
    """Servers of plans under rates that change from period to period.

    Args:
        rates: The true rates of the adapters.
        every: Seconds of a stretch.
        start_seconds: Seconds until a server that starts serves.
        seed: Seed of the arrivals.
    """

    def __init__(self, rates: RatesOverTime, every: float, start_seconds: float = START_SECONDS, seed: int = 1) -> None:
        self._rates, self._every, self._start, self._seed = rates, every, start_seconds, seed
        self._place, self._left = 0, 0
        self._moved = (0, 0)
        self._starting: Plans | None = None
        self.stretches: list[SimulatedStretch] = []

    def __len__(self) -> int:
        """Return the number of stretches."""
        return math.floor(len(self._rates) * self._rates.period / self._every + 1e-9)

    def observe(self, running: Plans) -> Observed | None:
        """Simulate the next stretch; None at the end of the rates."""
        if self._place >= len(self):
            return None
        start = self._place * self._every
        rates = self._rates_from(start)
        workloads = [_workload_now(plan.workload, rates, self._every) for plan in running.plans]
        names = [server.name for plan in running.plans for server in plan.serving]
        seed = stream_seed(self._seed, "stretch", str(self._place)) >> 1
        runs = expected_runs(list(zip(running.plans, workloads, strict=True)), names, seed)
        self._note(start, running, runs)
        self._place += 1
        return Observed(
            time=start + self._every,
            seconds=self._every,
            servers={name: ObservedServer.of_run(run) for name, run in runs.items()},
            unreadable={},
            requests=_requests_of_runs(workloads, runs),
            source="the twin",
        )

    def change(self, found: Plans) -> FleetChange:
        """Move adapters at once; servers that start serve after their time, in whole stretches."""
        if found is not self._starting:
            self._starting = found
            starts = any(step.action in ("start", "restart") for step in _steps(found))
            self._left = math.ceil(self._start / self._every) if starts else 0
        if self._left > 0:
            self._left -= 1
            return FleetChange(is_complete=False, notes=("servers are starting",))
        migrations = [plan.migration for plan in found.plans if plan.migration]
        self._moved = (sum(each.moves for each in migrations), sum(each.restarts for each in migrations))
        self._starting = None
        return FleetChange(is_complete=True)

    def _rates_from(self, start: float) -> dict[str, float]:
        """Return the mean rates of the stretch that begins at a time, by adapter."""
        begins = np.arange(len(self._rates)) * self._rates.period
        end = start + self._every
        inside = np.minimum(end, begins + self._rates.period) - np.maximum(start, begins)
        means = self._rates.rates @ (np.clip(inside, 0.0, None) / self._every)
        return dict(zip(self._rates.names, means.tolist(), strict=True))

    def _note(self, start: float, running: Plans, runs: Mapping[str, Run]) -> None:
        gpus = max(running.gpus, self._starting.gpus if self._starting else 0)
        self.stretches.append(
            SimulatedStretch(
                start=start,
                requests=sum(run.offered_request_rate for run in runs.values()),
                gpus=gpus,
                overloaded=tuple(dict.fromkeys(name for run in runs.values() for name in overloaded_adapters(run))),
                moves=self._moved[0],
                restarts=self._moved[1],
            )
        )
        self._moved = (0, 0)


def _workload_now(planned: Workload, rates: Mapping[str, float], seconds: float) -> Workload:
    """Return the workload of a plan with the rates of now; adapters without any get no request."""
    every = {adapter.name: rates.get(adapter.name, 0.0) for adapter in planned.adapters}
    return expected_workload(planned, every, seconds).workload


def _requests_of_runs(workloads: list[Workload], runs: Mapping[str, Run]) -> dict[str, Counted]:
    """Return the requests of each adapter on all servers, with the mean lengths of their distributions."""
    arrivals: dict[str, int] = {}
    for run in runs.values():
        for name, number in run.adapters.select("name", "arrivals").iter_rows():
            arrivals[name] = arrivals.get(name, 0) + number
    found: dict[str, Counted] = {}
    for workload in workloads:
        for adapter in workload.adapters:
            lengths, number = workload.lengths_of(adapter), arrivals.get(adapter.name, 0)
            found[adapter.name] = Counted(number, number * lengths.mean_input, number * lengths.mean_output)
    return found


def _steps(plans: Plans) -> list[Step]:
    return [step for plan in plans.plans if plan.migration for step in plan.migration.steps]
