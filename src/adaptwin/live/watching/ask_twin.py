"""ask_twin: does a plan hold with the traffic that is expected, and how much more would it bear?"""

from collections.abc import Sequence

from adaptwin.live.watching.outlook import MOST_HEADROOM_SEEN, Outlook
from adaptwin.placement.verification.verify import serving_cases, verify
from adaptwin.plan.check import Check
from adaptwin.plan.plan import Plan
from adaptwin.twin.run import Run
from adaptwin.twin.simulate import Case, simulate_many
from adaptwin.workload.workload import Workload

LEAST_HEADROOM_SEEN = -0.75  # a quarter of it
_HALVINGS = 6  # of the range of the headroom, which is then known within 5 % of the traffic
_OVERLOADED = ("starved", "backlogged")


def simulated_outlook(plans: Sequence[tuple[Plan, Workload]], seed: int) -> Outlook:
    """Return what the twin says of plans, each with a workload of its adapters.

    The headroom of a server is found by halving, with the same seed, up to four times the traffic.
    """
    changed = [plan.model_copy(update={"workload": workload}) for plan, workload in plans]
    checks = [verify(plan, seed, failovers=False) for plan in changed]
    runs = [run for check in checks for run in check.runs]
    return Outlook(
        failures=tuple(line for check in checks for line in check.failures),
        failing=frozenset(check.servers[place].name for check in checks for place in check.failing),
        overloaded=tuple(dict.fromkeys(name for run in runs for name in overloaded_adapters(run))),
        headroom={
            name: share
            for plan, check in zip(changed, checks, strict=True)
            for name, share in _headroom_by_server(plan, check, seed).items()
        },
    )


def plans_hold(plans: Sequence[tuple[Plan, Workload]], seed: int) -> bool:
    """Whether plans hold, each with a workload of its adapters; `simulated_outlook` says more, and takes longer."""
    return all(
        verify(plan.model_copy(update={"workload": workload}), seed, failovers=False).ok for plan, workload in plans
    )


def overloaded_adapters(run: Run) -> list[str]:
    """Return the adapters that are starved or backlogged in a run."""
    return list(run.adapters.filter(run.adapters["verdict"].is_in(_OVERLOADED))["name"])


def _headroom_by_server(plan: Plan, check: Check, seed: int) -> dict[str, float]:
    """Return the headroom of each server of a plan; all servers are simulated at the same time."""
    failing = set(check.failing)
    ranges = [
        (LEAST_HEADROOM_SEEN, 0.0) if place in failing else (0.0, MOST_HEADROOM_SEEN)
        for place in range(len(check.servers))
    ]
    cases = serving_cases(plan, check.servers, seed)
    for _ in range(_HALVINGS):
        middles = [(low + high) / 2.0 for low, high in ranges]
        runs = simulate_many(
            case._replace(workload=case.workload.scaled(1.0 + middle))
            for case, middle in zip(cases, middles, strict=True)
        )
        bears = Check(list(runs), check.servers, seed, check.latency_limits)
        fails = set(bears.failing)
        ranges = [
            (low, middle) if place in fails else (middle, high)
            for place, ((low, high), middle) in enumerate(zip(ranges, middles, strict=True))
        ]
    return {server.name: low for server, (low, _) in zip(check.servers, ranges, strict=True)}


def expected_runs(plans: Sequence[tuple[Plan, Workload]], names: Sequence[str], seed: int) -> dict[str, Run]:
    """Return the twin's run of some servers with some traffic, by server."""
    cases: dict[str, Case] = {}
    for plan, workload in plans:
        servers = [server for server in plan.serving if server.name in names]
        changed = plan.model_copy(update={"workload": workload})
        found = serving_cases(changed, servers, seed)
        cases.update({server.name: case for server, case in zip(servers, found, strict=True)})
    return dict(zip(cases, simulate_many(cases.values()), strict=True))
