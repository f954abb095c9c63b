"""verify: check that a plan holds, by one twin run per server with a seed that the planner did not use.

The states after failures are checked, too.
"""

from collections.abc import Sequence

from adaptwin.plan.assumptions import assumptions_of
from adaptwin.plan.check import Check, FailoverCheck
from adaptwin.plan.failover import Failover
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.twin.run import Run
from adaptwin.twin.simulate import Case, simulate_many
from adaptwin.workload.drawing.seeds import stream_seed
from adaptwin.workload.workload import Workload


def verify(plan: Plan, seed: int = 1, *, jobs: int = -1, failovers: bool = True) -> Check:
    """Simulate every server of a plan with its part of the traffic, and every server that takes over adapters.

    Args:
        plan: The plan; it carries its workload and profiles.
        seed: Seed of the arrivals and lengths; use another than the plan's.
        jobs: Number of cores to use; -1 uses all.
        failovers: Whether to simulate the states after failures, too.

    Raises:
        OutOfMemory: A server of the plan would not start.
    """
    serving = plan.serving
    states = [(failover, plan.takers(failover)) for failover in plan.failover] if failovers else []
    played = _Played(plan, seed)
    played.play([[(server.name, server) for server in serving], *(_asked(plan, *state) for state in states)], jobs)
    found = tuple(
        FailoverCheck(
            failover.failed,
            [played.run(*each) for each in _asked(plan, failover, takers)],
            takers,
            plan.options.latency_limits,
        )
        for failover, takers in states
    )
    return Check(
        [played.run(server.name, server) for server in serving],
        serving,
        seed,
        plan.options.latency_limits,
        found,
        assumptions_of(plan),
        sum(map(plan.gpus_of, serving)),
    )


Drawn = tuple[str, PlacedServer]  # the name of the server whose requests are drawn, and the server that serves them


def _asked(plan: Plan, failover: Failover, takers: tuple[PlacedServer, ...]) -> list[Drawn]:
    """Return the servers that take over adapters. A standby gets the same requests as the server that it replaces."""
    bins = {server.name: server.adapters for server in plan.servers}
    return [
        (next((name for name in failover.failed if bins[name] == taker.adapters), taker.name), taker)
        for taker in takers
    ]


def serving_cases(plan: Plan, servers: Sequence[PlacedServer], seed: int) -> list[Case]:
    """Return what one verification simulates of some servers of a plan, while all of them run."""
    return _cases(plan, plan.workload.dealt(seed), [(server.name, server) for server in servers], seed)


def _cases(plan: Plan, whole: Workload, drawn: Sequence[Drawn], seed: int) -> list[Case]:
    """Return the cases of servers that share the traffic of the fleet, whose timestamps are dealt."""
    return [
        Case(plan.profile_of(server), server.server, part, server_seed(seed, name))
        for (name, server), part in zip(drawn, whole.parts(server.adapters for _, server in drawn), strict=True)
    ]


class _Played:
    """Runs of servers, each simulated once."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self._plan, self._seed = plan, seed
        self._runs: dict[tuple[object, ...], Run] = {}

    def play(self, states: list[list[Drawn]], jobs: int) -> None:
        """Simulate the servers of these states, which share the traffic of the fleet, on `jobs` cores."""
        cases: dict[tuple[object, ...], Case] = {}
        whole = self._plan.workload.dealt(self._seed)
        for state in states:
            for (name, server), case in zip(state, _cases(self._plan, whole, state, self._seed), strict=True):
                cases.setdefault(_key(name, server), case)
        self._runs = dict(zip(cases, simulate_many(cases.values(), jobs=jobs), strict=True))

    def run(self, name: str, server: PlacedServer) -> Run:
        """Return the run of a server that was simulated."""
        return self._runs[_key(name, server)]


def _key(name: str, server: PlacedServer) -> tuple[object, ...]:
    return name, server.profile, server.server, frozenset(server.adapters.items())


def server_seed(seed: int, server: str) -> int:
    """Return the seed of a server, which is its own so that parts of a split adapter get different arrivals."""
    return stream_seed(seed, server) >> 1
