"""stress: counts of runs that hold, for plans that must hold, must fail, or stand at their limit."""

import pytest

from adaptwin import Plan, SpecError, make_plan, simulate, stress
from adaptwin.placement.verification.holds import holds
from adaptwin.placement.verification.stress import SAMPLE_RUNS, SAMPLE_SERVERS
from adaptwin.placement.verification.verify import server_seed
from adaptwin.plan.plan import PlacedServer
from adaptwin.plan.stress_scenario import STRESS_SCENARIOS, WRONG_RATES, StressScenario
from adaptwin.workload.drawing.seeds import stream_seed

AS_PLANNED = STRESS_SCENARIOS[0]


@pytest.fixture(scope="module")
def roomy(h100, fleet):
    """Return a plan with twice the capacity that it needs."""
    return make_plan(h100, fleet(*[(f"a{i}", 8, 4.0) for i in range(8)]), headroom=1.0)


@pytest.fixture(scope="module")
def tight(roomy, h100):
    """Return the same servers, with so much traffic that the fullest just sustains it."""
    fullest = min(roomy.servers, key=lambda server: server.forecast.headroom)
    return roomy.model_copy(update={"workload": roomy.workload.scaled(1.0 + fullest.forecast.headroom)})


def shares(found):
    return {result.traffic: (result.fleet.held, result.servers.held) for result in found.results}


def test_a_plan_with_twice_the_capacity_bears_everything(roomy):
    found = stress(roomy, runs=3)
    servers = len(roomy.servers)
    assert shares(found) == {scenario.traffic: (3, 3 * servers) for scenario in STRESS_SCENARIOS}
    assert not any(result.failed for result in found.results)
    assert found.left_out == ()


def test_a_plan_at_its_limit_fails_with_a_quarter_more_and_holds_as_it_is(tight):
    found = {result.traffic: result for result in stress(tight, runs=10).results}
    assert found["as planned"].fleet.held >= 9
    assert found["all traffic x1.25"].fleet.held == 0
    assert found["all traffic x1.03"].fleet.held >= found["all traffic x1.1"].fleet.held


def test_every_failure_is_counted_once(tight):
    for result in stress(tight, runs=6).results:
        assert result.fleet.trials == 6
        assert result.servers.trials == 6 * len(tight.servers)
        assert sum(result.failed.values()) == result.servers.trials - result.servers.held
        assert max(result.failed.values(), default=0) <= 6 - result.fleet.held
        assert set(result.failed) <= {server.name for server in tight.servers}


def test_the_counts_are_those_of_runs_by_hand(tight):
    """Ask the twin about each server and run, with rates multiplied here."""
    (result,) = stress(tight, runs=4, seed=9, scenarios=[StressScenario("x1.2", factor=1.2)]).results
    held = []
    for run in range(4):
        seed = stream_seed(9, "stress", str(run)) >> 1
        held.append(
            [
                simulate(
                    tight.profile_of(server),
                    server.server,
                    tight.workload_of(server).scaled(1.2),
                    seed=server_seed(seed, server.name),
                ).worst
                == "ok"
                for server in tight.servers
            ]
        )
    assert result.fleet.held == sum(map(all, held))
    assert result.servers.held == sum(map(sum, held))


def test_a_stress_depends_only_on_plan_and_seed(tight):
    once, again, other = (stress(tight, runs=5, seed=seed, jobs=jobs) for seed, jobs in ((1, -1), (1, 1), (2, -1)))
    assert once == again
    assert once != other
    assert stress(tight, runs=5) == stress(tight, runs=5, seed=tight.seed)


def test_a_split_adapter_has_the_same_wrong_rate_on_all_its_servers(h100, fleet, monkeypatch):
    """Both halves are offered as much, but for chance; independent rates would differ by 28 %."""
    from adaptwin.placement.verification import stress as module

    plan = make_plan(h100, fleet(("a", 8, 1.0)))
    server = plan.servers[0]
    halves = tuple(server.model_copy(update={"name": name, "adapters": {"a": 0.5}}) for name in ("gpu-0", "gpu-1"))
    offered = []

    def remembered(case, limits):
        offered.append(case.workload.adapters[0].rate)
        return holds(case, limits)

    monkeypatch.setattr(module, "holds", remembered)
    stress(plan.model_copy(update={"servers": halves}), runs=6, scenarios=[WRONG_RATES], jobs=1)
    assert len(set(offered)) == 6
    assert all(offered.count(rate) == 2 for rate in offered)


def test_scenarios_without_effect_are_left_out_and_named(roomy):
    replayed = roomy.workload.model_copy(update={"arrivals": tuple(0.05 * i for i in range(5000))})
    found = stress(roomy.model_copy(update={"workload": replayed}), runs=1)
    assert found.left_out == ("bursts, gamma:cv=2", "regimes, factor 1.5")
    assert [result.traffic for result in found.results] == [s.traffic for s in STRESS_SCENARIOS[:-2]]


def test_adapters_with_own_arrivals_are_counted_as_unaffected(roomy):
    first, *others = roomy.workload.adapters
    own = (first.model_copy(update={"arrivals": (1.0, 2.0)}), *others)
    changed = roomy.model_copy(update={"workload": roomy.workload.model_copy(update={"adapters": own})})
    assert [result.unaffected for result in stress(changed, runs=1).results] == [0, 0, 0, 0, 0, 1, 1]


def test_progress_counts_every_run(roomy):
    told = []
    stress(roomy, runs=2, scenarios=[AS_PLANNED, WRONG_RATES], progress=lambda *each: told.append(each))
    assert [each[1:] for each in told if each[0] == "stress"] == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"runs": 0}, "^runs: 0 must be at least 1$"),
        ({"window": 60.0}, "^duration: 60 seconds are too few"),
        ({"servers": ()}, "^servers: the plan has none that serves adapters$"),
    ],
)
def test_what_cannot_be_stressed_is_refused(roomy, changes, message):
    plan = roomy
    if "window" in changes:
        plan = plan.model_copy(update={"workload": plan.workload.model_copy(update={"duration": changes["window"]})})
    if "servers" in changes:
        plan = plan.model_copy(update={"servers": ()})
    with pytest.raises(SpecError, match=message):
        stress(plan, runs=changes.get("runs", 1))


def test_standbys_are_not_simulated(roomy):
    first = roomy.servers[0]
    standby = PlacedServer(name="spare", profile=first.profile, server=first.server, adapters={})
    found = stress(roomy.model_copy(update={"servers": (*roomy.servers, standby)}), runs=1, scenarios=[AS_PLANNED])
    assert "spare" not in found.servers


# The sample that a plan carries


def test_a_plan_carries_a_sample_of_its_fullest_servers(h100, fleet):
    plan = make_plan(h100, fleet(*[(f"a{i:02}", 8, 8.0) for i in range(16)]))
    assert len(plan.servers) > SAMPLE_SERVERS
    assert plan.stress.is_sample
    (result,) = plan.stress.results
    assert result.traffic == WRONG_RATES.traffic
    assert result.fleet.trials == SAMPLE_RUNS
    assert result.servers.trials == SAMPLE_RUNS * SAMPLE_SERVERS == 30
    headroom = {server.name: server.forecast.headroom for server in plan.servers}
    assert max(headroom[name] for name in plan.stress.servers) <= sorted(headroom.values())[SAMPLE_SERVERS - 1]


def test_a_plan_with_its_sample_reads_back_as_it_was_written(roomy, tmp_path):
    assert roomy.stress.results[0].fleet.held == SAMPLE_RUNS
    roomy.write(tmp_path / "plan.yaml")
    assert Plan.read(tmp_path / "plan.yaml") == roomy


def test_a_plan_that_is_not_verified_has_no_sample(h100, fleet):
    plan = make_plan(h100, fleet(("hot", 8, 200.0)), objective="max-throughput", gpus=1)
    assert not plan.verified
    assert plan.stress is None


def test_a_plan_at_its_limit_often_fails_with_wrong_rates(tight):
    """Some four adapters per server: the mean of their wrong rates is above 1 about every other time."""
    assert stress(tight, runs=20, scenarios=[WRONG_RATES]).results[0].fleet.held <= 12


@pytest.mark.parametrize("safety", [{"headroom": 0.4}, {"margin": 0.4}], ids=str)
def test_wrong_rates_are_cured_by_headroom_or_margin(h100, tight, safety):
    plan = make_plan(h100, tight.workload, **safety)
    assert stress(plan, runs=20, scenarios=[WRONG_RATES]).results[0].fleet.held >= 19
