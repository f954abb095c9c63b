"""trials: simulate a server in trouble as it runs and with each change that may end it, and advise one of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

import numpy as np

from adaptwin.live.advice import ChangeKind, SimulatedServer, TriedChange, TwinAdvice
from adaptwin.live.calls import Calls
from adaptwin.live.candidates import Candidate, candidates
from adaptwin.live.deployment import Deployment
from adaptwin.live.diagnosis import LiveBinding
from adaptwin.placement.verification.verify import server_seed
from adaptwin.plan.latency_limits import LatencyLimits
from adaptwin.plan.plan import PlacedServer
from adaptwin.progress import Progress, silent
from adaptwin.twin.run import VERDICTS, Run, grade_of, worst_of
from adaptwin.twin.simulate import Case, simulate_many
from adaptwin.twin.verdict import SHORTEST_WINDOW
from adaptwin.workload.workload import Workload

TRIAL_SEEDS = (1, 2)  # with each of which a server must be ok
USUAL_WINDOW = 600.0  # seconds, where the workload has too few
_KINDS: tuple[ChangeKind, ...] = get_args(ChangeKind)


class Trials:
    """Simulations of servers of a deployment, with the traffic that they get.

    Args:
        deployment: All servers, as they run.
        factors: Factor on the traffic of each server, by its name; 1 for others.
        progress: Called with the number of changes tried.
    """

    def __init__(self, deployment: Deployment, factors: Mapping[str, float], progress: Progress = silent) -> None:
        self._deployment, self._factors, self._progress = deployment, factors, progress
        self._workloads = [_with_factors(deployment, factors, seed) for seed in TRIAL_SEEDS]

    def present(self, servers: Sequence[PlacedServer]) -> dict[str, SimulatedServer]:
        """Simulate servers as they run; those that would not start by their profile are left out."""
        starting = [server for server in servers if server.server.starts_on(self._deployment.profile_of(server))]
        found = self._simulated(starting)
        return {server.name: each for server, each in zip(starting, found, strict=True)}

    def advice(
        self,
        here: PlacedServer,
        present: SimulatedServer | None,
        binding: LiveBinding,
        busy: Sequence[str],
        calls: Calls,
    ) -> TwinAdvice:
        """Try changes for a server in trouble, if the twin sees the trouble, too.

        Args:
            here: The server.
            present: What the twin says of it as it runs.
            binding: What binds it.
            busy: Adapters that were seen running or waiting on it.
            calls: What the calls of servers need.
        """
        factor = self._factors.get(here.name, 1.0)
        if present is None or _is_good(present):
            return TwinAdvice(factor=factor, present=present, sees_it=False)
        hottest = self._hottest(here, busy)
        asked = list(candidates(self._deployment, here, binding, hottest, calls))
        tried = sorted(self._tried(here.name, asked), key=_order_of_changes)
        best = tried[0] if tried and tried[0].ends_it else None
        return TwinAdvice(
            factor=factor, present=present, sees_it=True, best=best, others=tuple(tried[1:] if best else tried)
        )

    def _tried(self, here: str, asked: Sequence[Candidate]) -> Iterable[TriedChange]:
        others = {server.name for server in self._deployment.servers} - {here}
        for number, candidate in enumerate(asked):
            self._progress("simulating changes", number, len(asked))
            found = self._simulated(candidate.servers)
            yield TriedChange(
                kind=candidate.kind,
                what=candidate.what,
                steps=candidate.steps,
                adapters=candidate.adapters,
                servers=tuple(found),
                ends_it=all(each.is_ok if each.server in others else _is_good(each) for each in found),
            )

    def _hottest(self, here: PlacedServer, busy: Sequence[str]) -> list[str]:
        """Return the adapters of a server that were seen busy, or else all, from the one with the most traffic."""
        part = self._workloads[0].part(here.adapters)
        rates = dict(zip((adapter.name for adapter in part.adapters), part.rates, strict=True))
        names = [name for name in busy if name in rates] or list(rates)
        return sorted(names, key=lambda name: (-rates[name], name))

    def _simulated(self, servers: Sequence[PlacedServer]) -> list[SimulatedServer]:
        """Simulate servers together, once with each seed."""
        cases = [
            Case(self._deployment.profile_of(server), server.server, part, server_seed(seed, server.name))
            for seed, workload in zip(TRIAL_SEEDS, self._workloads, strict=True)
            for server, part in zip(servers, workload.parts(server.adapters for server in servers), strict=True)
        ]
        runs = simulate_many(cases)
        limits = self._deployment.latency_limits
        return [_summed_up(server.name, runs[place :: len(servers)], limits) for place, server in enumerate(servers)]


def _with_factors(deployment: Deployment, factors: Mapping[str, float], seed: int) -> Workload:
    """Return the traffic of all servers, with that of each adapter multiplied by the factors of its servers."""
    whole = deployment.workload.dealt(seed)
    if whole.duration < SHORTEST_WINDOW:
        whole = whole.model_copy(update={"duration": USUAL_WINDOW})
    of_adapter: dict[str, float] = {}
    for server in deployment.servers:
        for name, share in server.adapters.items():
            of_adapter[name] = of_adapter.get(name, 0.0) + share * factors.get(server.name, 1.0)
    adapters = tuple(adapter.scaled(of_adapter.get(adapter.name, 1.0)) for adapter in whole.adapters)
    return whole.model_copy(update={"adapters": adapters})


def _summed_up(name: str, runs: Sequence[Run], limits: LatencyLimits) -> SimulatedServer:
    """Return what runs of a server with several seeds say together, which is the worst that one of them says."""
    worst = worst_of([run.worst for run in runs])
    is_sluggish = limits.ttft_p99 is None and any(run.sluggish for run in runs)
    unserved = {row["name"] for run in runs for row in run.adapters.iter_rows(named=True) if row["verdict"] != "ok"}
    keeps_limits = all(limits.holds(ttft_p99=run.ttft.p99, itl_p99=run.itl.p99) for run in runs)
    return SimulatedServer(
        server=name,
        grade=grade_of(worst, sluggish=is_sluggish),
        is_ok=worst == "ok" and keeps_limits,
        ttft_p99=float(np.nanmax([run.ttft.p99 for run in runs] + [0.0])),
        itl_mean=float(np.nanmax([run.itl.mean for run in runs] + [0.0])),
        waiting_at_end=max(run.waiting_at_end for run in runs),
        unserved=tuple(sorted(unserved)),
    )


def _is_good(server: SimulatedServer) -> bool:
    return server.is_ok and server.grade == "ok"


def _order_of_changes(change: TriedChange) -> tuple[bool, int, int, float]:
    """Sort key of changes: those that end the trouble, the least intrusive first; then the others by their verdicts."""
    kind = _KINDS.index(change.kind) if change.ends_it else 0
    worst = -VERDICTS.index(worst_of({server.grade for server in change.servers}))
    return not change.ends_it, kind, worst, change.ttft_p99
