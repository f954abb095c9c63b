"""stress: simulate a plan under traffic that it was not made for, and count how often it holds."""

from collections import Counter
from collections.abc import Iterable, Sequence

import joblib

from adaptwin.engine import in_order
from adaptwin.errors import SpecError
from adaptwin.placement.verification.holds import holds
from adaptwin.placement.verification.verify import server_seed
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.plan.stress import STRESS_RUNS, Proportion, Stress, StressResult
from adaptwin.plan.stress_scenario import STRESS_SCENARIOS, WRONG_RATES, StressScenario
from adaptwin.progress import Progress, silent
from adaptwin.twin.compilation import compile_twin
from adaptwin.twin.simulate import Case
from adaptwin.twin.verdict import require_long_enough
from adaptwin.workload.drawing.seeds import stream_seed

SAMPLE_RUNS = 10  # of the fullest servers, for every plan
SAMPLE_SERVERS = 3


def stress(
    plan: Plan,
    *,
    runs: int = STRESS_RUNS,
    seed: int | None = None,
    scenarios: Sequence[StressScenario] | None = None,
    jobs: int = -1,
    progress: Progress = silent,
) -> Stress:
    """Simulate all servers of a plan under traffic that it was not made for, and count how often they hold.

    Every run has arrivals of its own; the arrivals of run number k are the same in all scenarios that leave the
    arrivals as they are. Wrong rates are drawn anew in each run, and an adapter that several servers share has the same
    wrong rate on all of them. Scenarios with other arrivals leave adapters with arrivals of their own as they are, and
    are left out if that goes for all adapters. Standbys and the states after failures are not simulated.

    Args:
        plan: The plan; it carries its workload and profiles.
        runs: Number of runs of the whole fleet for each scenario.
        seed: Seed of all draws; by default that of the plan. The search and the verification draw other arrivals.
        scenarios: What differs from the traffic of the plan. By default: nothing, 3, 10 and 25 % more traffic, each
            rate wrong by 20 %, bursts, and regimes.
        jobs: Number of cores to use; -1 uses all.
        progress: Function that is called with the current stage, how much of it is done, and out of how much.

    Raises:
        OutOfMemory: A server of the plan would not start.
        SpecError: The plan has no servers, the window is too short to judge them, or `runs` is below 1.
    """
    asked = STRESS_SCENARIOS if scenarios is None else scenarios
    return _stress(plan, plan.serving, asked, runs, plan.seed if seed is None else seed, jobs, progress)


def with_stress_sample(plan: Plan, progress: Progress = silent) -> Plan:
    """Return the plan with a few runs of its fullest servers under wrong rates; as it is, if it is not verified."""
    fullest = sorted(
        (server.forecast.headroom, index)
        for index, server in enumerate(plan.servers)
        if server.forecast is not None and not server.is_standby
    )
    if not plan.verified or not fullest:
        return plan
    servers = [plan.servers[index] for _, index in fullest[:SAMPLE_SERVERS]]
    found = _stress(plan, servers, [WRONG_RATES], SAMPLE_RUNS, plan.seed, -1, progress)
    return plan.model_copy(update={"stress": found.model_copy(update={"is_sample": True})})


def _stress(
    plan: Plan,
    servers: Sequence[PlacedServer],
    scenarios: Sequence[StressScenario],
    runs: int,
    seed: int,
    jobs: int,
    progress: Progress,
) -> Stress:
    if not servers:
        raise SpecError("the plan has none that serves adapters", "servers")
    if runs < 1:
        raise SpecError(f"{runs} must be at least 1", "runs")
    require_long_enough(plan.workload)
    compile_twin(progress)
    applicable = [scenario for scenario in scenarios if scenario.unaffected(plan.workload) < len(plan.workload)]
    asked = [(scenario, stream_seed(seed, "stress", str(run)) >> 1) for scenario in applicable for run in range(runs)]
    calls = (joblib.delayed(_failing_under)(plan, servers, *each) for each in asked)
    progress("stress", 0, len(asked))
    failing: list[list[str]] = []
    for names in in_order(calls, jobs):
        failing.append(names)
        progress("stress", len(failing), len(asked))
    results = (
        _result(scenario, failing[at * runs : (at + 1) * runs], len(servers), scenario.unaffected(plan.workload))
        for at, scenario in enumerate(applicable)
    )
    return Stress(
        seed=seed,
        servers=tuple(server.name for server in servers),
        results=tuple(results),
        left_out=tuple(scenario.traffic for scenario in scenarios if scenario not in applicable),
    )


def _failing_under(plan: Plan, servers: Sequence[PlacedServer], scenario: StressScenario, seed: int) -> list[str]:
    """Simulate servers under a scenario, and return the names of those that do not hold."""
    dealt, served = plan.workload.dealt(seed), {name for server in servers for name in server.adapters}
    theirs = dealt.model_copy(update={"adapters": tuple(a for a in dealt.adapters if a.name in served)})
    parts = scenario.changed(theirs, seed).parts((server.adapters for server in servers), seed)
    return [
        server.name
        for server, part in zip(servers, parts, strict=True)
        if not holds(
            Case(plan.profile_of(server), server.server, part, server_seed(seed, server.name)),
            plan.options.latency_limits,
        )
    ]


def _result(scenario: StressScenario, failing: Iterable[Sequence[str]], servers: int, unaffected: int) -> StressResult:
    """Count in how many runs the fleet and its servers held, from the names of those that failed in each run."""
    by_run = list(failing)
    failed = Counter(name for names in by_run for name in names)
    trials = servers * len(by_run)
    return StressResult(
        traffic=scenario.traffic,
        fleet=Proportion.of(sum(not names for names in by_run), len(by_run)),
        servers=Proportion.of(trials - failed.total(), trials),
        failed=dict(sorted(failed.items())),
        unaffected=unaffected,
    )
