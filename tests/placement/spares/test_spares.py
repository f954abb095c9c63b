"""make_plan with spare GPUs: if up to this many GPUs fail, the others serve all adapters."""

import math
import time

import pytest

from adaptwin import Adapter, Plan, Server, SpecError, Workload, make_plan, verify
from adaptwin.placement.lower_bound.lower_bound import lower_bound
from adaptwin.placement.packing.problem import Problem
from adaptwin.placement.spares.shared_spares import MOST_STATES, Arrangement, TrialResult, shared_spares
from adaptwin.placement.spares.standby import with_standbys
from adaptwin.plan.constraints import Constraints
from adaptwin.plan.failover import Failover
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer
from adaptwin.progress import silent
from adaptwin.replanning.replan import replan


def without(plan, failover):
    """Return the plan that runs after a failure, built by hand from the routes of the failover."""
    servers = []
    for server in plan.servers:
        contents = {name: share for name, share in server.adapters.items() if name not in failover.routes}
        contents |= {name: route[server.name] for name, route in failover.routes.items() if server.name in route}
        if server.name not in failover.failed and contents:
            settings = failover.settings.get(server.name, server.server)
            servers.append(PlacedServer(server.name, server.profile, settings, contents))
    return Plan(
        plan.options.model_copy(update={"spare": 0, "constraints": Constraints()}),
        plan.seed,
        lower_bound=0,
        servers=servers,
        profiles=plan.profiles,
        workload=plan.workload,
    )


def assert_any_may_fail(plan, seed=17):
    """Assert that each serving server may fail: only its adapters are routed anew, and no adapter is starved."""
    singles = {failover.failed: failover for failover in plan.failover if len(failover.failed) == 1}
    assert set(singles) == {(server.name,) for server in plan.servers if not server.is_standby}
    for failover in plan.failover:
        lost = {name for server in plan.servers if server.name in failover.failed for name in server.adapters}
        assert failover.routes.keys() == lost
        then = without(plan, failover)
        assert not {server.name for server in then.servers} & set(failover.failed)
        assert verify(then, seed).ok


@pytest.fixture(scope="module")
def crowd(fleet):
    """Return adapters of mixed ranks that two GPUs serve."""
    return fleet(*[(f"a{i:02}", 8 if i % 3 else 16, 1.6) for i in range(24)])


@pytest.fixture(scope="module")
def bare(h100, crowd):
    return make_plan(h100, crowd)


@pytest.fixture(scope="module")
def spared(h100, crowd):
    return make_plan(h100, crowd, spare=1)


def test_with_one_more_gpu_any_single_one_may_fail(bare, spared):
    assert (bare.gpus, spared.gpus) == (2, 3)
    assert spared.verified
    assert spared.standbys == ()
    assert_any_may_fail(spared)


def test_the_bound_counts_the_spares(h100, crowd, bare, spared):
    assert bare.lower_bound == lower_bound([h100], crowd, Server())
    assert spared.lower_bound == bare.lower_bound + 1 <= spared.gpus


def test_the_cost_bound_counts_them_too(h100, fleet):
    priced = h100.model_copy(update={"price_per_hour": 2.5})
    assert make_plan(priced, fleet(("a", 8, 1.0)), spare=2).cost_bound == 7.5


def test_running_servers_keep_their_settings_when_another_fails(spared):
    assert all(failover.settings == {} for failover in spared.failover)
    ranks = {adapter.name: adapter.rank for adapter in spared.workload.adapters}
    for failover in spared.failover:
        for taker in spared.takers(failover):
            assert all(taker.server.can_load(ranks[name]) for name in taker.adapters)
            assert taker.server.max_cpu_loras >= len(taker.adapters)
            assert taker.server == next(s.server for s in spared.servers if s.name == taker.name)


def test_latencies_after_a_failure_are_in_the_plan(spared):
    before = max(server.forecast.itl_mean for server in spared.servers)
    assert all(before < failover.itl_p99 < math.inf for failover in spared.failover)
    assert all(0 < failover.ttft_p99 < math.inf for failover in spared.failover)


def test_verify_simulates_the_failovers(spared):
    check = verify(spared, seed=3)
    assert check.ok
    assert [state.failed for state in check.failovers] == [failover.failed for failover in spared.failover]
    for state, failover in zip(check.failovers, spared.failover, strict=True):
        assert state.servers == spared.takers(failover)
        assert [run.verdict for run in state.runs] == ["ok"] * len(state.servers)
    assert verify(spared, seed=3, failovers=False).failovers == ()


def test_planning_with_spares_is_deterministic(h100, crowd, spared):
    again = make_plan(h100, crowd, spare=1)
    untimed = {"planning_seconds": 0.0, "search_seconds": 0.0}
    assert again.model_copy(update=untimed) == spared.model_copy(update=untimed)


def test_a_plan_with_spares_reads_back_as_written(spared, tmp_path):
    spared.write(tmp_path / "plan.yaml")
    assert Plan.read(tmp_path / "plan.yaml") == spared


def test_any_two_of_four_may_fail(h100, crowd, bare):
    plan = make_plan(h100, crowd, spare=2)
    assert plan.gpus == bare.gpus + 2
    assert plan.lower_bound == bare.lower_bound + 2
    assert len(plan.failover) == 4 + 6
    assert_any_may_fail(plan)


def test_a_rank_of_one_server_is_loadable_on_another(h100, fleet):
    plan = make_plan(h100, fleet(("big", 64, 1.0), *[(f"a{i:02}", 8, 1.5) for i in range(20)]), spare=1)
    assert plan.standbys == ()
    assert sum("big" in server.adapters for server in plan.servers) == 1
    assert sum(server.server.can_load(64) for server in plan.servers) >= 2
    assert_any_may_fail(plan)


def test_an_adapter_of_a_very_high_rank_among_many_of_a_low_one_may_lose_its_server(h100, fleet):
    rows = [("big", 256, 0.5), *[(f"a{i:02}", 8, 0.8) for i in range(40)]]
    plan = make_plan(h100, fleet(*rows), spare=1)
    assert plan.verified
    assert_any_may_fail(plan)


def test_servers_of_the_base_model_and_of_adapters_may_replace_each_other(h100, fleet):
    plan = make_plan(h100, fleet(("base", 0, 6.0), ("a", 8, 2.0), ("b", 16, 2.0)), spare=1)
    assert plan.gpus == 2
    assert_any_may_fail(plan)


def test_a_hot_adapter_that_is_split_may_lose_a_part(h100, fleet):
    plan = make_plan(h100, fleet(("hot", 8, 45.0), ("a", 8, 1.0)), spare=1)
    assert any(len(failover.routes["hot"]) > 1 for failover in plan.failover if "hot" in failover.routes)
    assert_any_may_fail(plan)


def test_a_single_adapter_is_served_by_both_servers(h100, fleet):
    plan = make_plan(h100, fleet(("a", 8, 1.0)), spare=1)
    assert [server.adapters for server in plan.servers] == [{"a": 0.5}] * 2
    assert_any_may_fail(plan)


def test_a_pinned_adapter_is_not_split_over_the_servers(h100, fleet):
    plan = make_plan(h100, fleet(("a", 8, 1.0)), spare=1, constraints=Constraints(pinned={"a": "gpu-0"}))
    assert [(server.name, dict(server.adapters)) for server in plan.servers] == [("gpu-0", {"a": 1.0}), ("gpu-1", {})]
    assert_any_may_fail(plan)


def test_constraints_hold_after_a_failure_but_for_the_pins_to_servers_that_are_gone(h100, fleet):
    asked = Constraints(pinned={"a00": "gpu-1"}, apart=[("a00", "a01")], together=[("a02", "a03")])
    plan = make_plan(h100, fleet(*[(f"a{i:02}", 8, 1.5) for i in range(20)]), spare=1, constraints=asked)
    assert_any_may_fail(plan)
    for failover in plan.failover:
        on = {server.name: server.adapters for server in without(plan, failover).servers}
        (pinned,) = (name for name, contents in on.items() if "a00" in contents)
        assert (pinned == "gpu-1") == ("gpu-1" not in failover.failed)
        assert "a01" not in on[pinned]
        assert sum("a02" in contents and "a03" in contents for contents in on.values()) == 1


def test_bounds_on_latency_hold_after_a_failure(h100, crowd):
    plan = make_plan(h100, crowd, objective="slo", itl_p99=0.12, spare=1)
    assert plan.verified
    assert all(failover.itl_p99 <= 0.12 for failover in plan.failover)
    assert_any_may_fail(plan)


# Standbys


@pytest.fixture(scope="module")
def inseparable(h100, fleet):
    """Return a plan with all adapters on one server, so another server has none."""
    workload = fleet(("a", 8, 1.0), ("b", 16, 1.0))
    return make_plan(h100, workload, spare=1, constraints=Constraints(together=[("a", "b")]))


def test_adapters_that_must_be_together_have_a_standby_with_the_settings_of_their_server(inseparable):
    serving, standby = inseparable.servers
    assert standby.is_standby
    assert (standby.adapters, standby.forecast) == ({}, None)
    (failover,) = inseparable.failover
    assert failover.failed == (serving.name,)
    assert failover.routes == {"a": {standby.name: 1.0}, "b": {standby.name: 1.0}}
    assert failover.settings == {standby.name: serving.server}
    assert inseparable.gpus == inseparable.lower_bound == 2
    assert inseparable.verified
    assert_any_may_fail(inseparable)


def test_a_standby_gets_the_requests_that_its_server_would_have_got(inseparable):
    check = verify(inseparable, seed=2)
    assert [server.name for server in check.servers] == ["gpu-0"]
    (state,) = check.failovers
    assert state.runs[0].to_json() == check.runs[0].to_json()


def test_a_plan_with_a_standby_reads_back_as_written(inseparable, tmp_path):
    inseparable.write(tmp_path / "plan.yaml")
    assert Plan.read(tmp_path / "plan.yaml") == inseparable


def test_other_strategies_keep_their_servers_and_get_standbys(h100, crowd):
    bare, plan = (make_plan(h100, crowd, strategy="paper_greedy", spare=spare) for spare in (0, 2))
    assert [server.adapters for server in plan.servers[: bare.gpus]] == [server.adapters for server in bare.servers]
    assert len(plan.standbys) == 2
    assert_any_may_fail(plan)


def test_out_of_time_the_plan_has_standbys(h100, crowd):
    plan = make_plan(h100, crowd, spare=1, time_limit=1e-9)
    assert len(plan.standbys) == 1
    assert plan.time_limit_hit


def test_each_profile_in_use_has_its_own_standbys(h100, fleet):
    other = h100.model_copy(update={"name": "other"})
    servers = [
        PlacedServer("gpu-0", h100.name, Server(), {"a": 1.0}),
        PlacedServer("gpu-1", "other", Server(max_loras=2), {"b": 1.0}),
    ]
    workload = fleet(("a", 8, 1.0), ("b", 8, 1.0))
    plan = with_standbys(
        Plan(
            PlanOptions(strategy="by hand", spare=2),
            0,
            lower_bound=1,
            servers=servers,
            profiles=[h100, other],
            workload=workload,
        )
    )
    assert [server.profile for server in plan.standbys] == [h100.name] * 2 + ["other"] * 2
    taken = {failover.failed: failover.routes for failover in plan.failover}
    assert taken == {("gpu-0",): {"a": {"gpu-2": 1.0}}, ("gpu-1",): {"b": {"gpu-4": 1.0}}}
    assert verify(plan).ok


def test_too_many_failures_to_try_are_not_tried(crowd, capacity_of):
    problem = Problem(capacity_of(crowd), 1, silent, time.perf_counter() + 60.0)

    def never(arrangement: Arrangement) -> TrialResult:
        raise AssertionError(arrangement)

    assert shared_spares(problem, MOST_STATES, 1, never) is None


def test_a_plan_with_spares_can_be_replanned_and_has_standbys_then(h100, spared, crowd):
    more = crowd.model_copy(update={"adapters": (*crowd.adapters, Adapter("new", 8, 0.5))})
    plan = replan(spared, more)
    assert plan.options.spare == len(plan.standbys) == 1
    assert plan.migration.gpus_before == 3
    assert_any_may_fail(plan)
    later = replan(plan, crowd)
    assert len(later.standbys) == 1
    assert later.migration.gpus_before == plan.gpus


# What is refused


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"spare": -1}, "spare: -1 must be from 0 to 8"),
        ({"spare": 9}, "spare: 9 must be from 0 to 8"),
        (
            {"spare": 1, "objective": "min-latency", "gpus": 3},
            "spare: 1: min-latency uses all GPUs that it is given, so none is spare",
        ),
        (
            {"spare": 1, "objective": "max-throughput", "gpus": 3},
            "spare: 1: max-throughput uses all GPUs that it is given, so none is spare",
        ),
    ],
)
def test_spares_that_make_no_sense_are_refused(h100, fleet, fields, message):
    with pytest.raises(SpecError, match=f"^{message}$"):
        make_plan(h100, fleet(("a", 8, 1.0)), **fields)


def plan_with(profile, failover, constraints=None):
    """Make a plan of two adapters on two servers, with a failover."""
    servers = [
        PlacedServer("gpu-0", profile.name, Server(max_loras=2), {"a": 1.0}),
        PlacedServer("gpu-1", profile.name, Server(max_loras=2), {"b": 1.0}),
    ]
    workload = Workload([Adapter("a", 8, 1.0), Adapter("b", 8, 1.0)], duration=300.0)
    return Plan(
        PlanOptions(strategy="by hand", spare=1, constraints=constraints or Constraints()),
        0,
        lower_bound=1,
        servers=servers,
        profiles=[profile],
        workload=workload,
        failover=[failover],
    )


@pytest.mark.parametrize(
    ("failed", "routes", "message"),
    [
        (("gpu-7",), {}, "'gpu-7' is not a server of the plan"),
        (("gpu-0",), {"a": {"gpu-7": 1.0}}, "'gpu-7' is not a server of the plan"),
        (("gpu-0",), {}, "'a' has no route"),
        (("gpu-0",), {"a": {"gpu-1": 1.0}, "b": {"gpu-1": 1.0}}, "'b' is not on gpu-0"),
        (("gpu-0",), {"a": {"gpu-0": 1.0}}, "'a' is routed to gpu-0, which failed"),
        (("gpu-0",), {"a": {"gpu-1": 0.5}}, "the shares of 'a' sum to 0.5, not to 1"),
    ],
)
def test_a_failover_must_route_the_adapters_of_failed_servers_to_the_others(h100, failed, routes, message):
    with pytest.raises(SpecError, match=rf"failover\[0\]: {message}"):
        plan_with(h100, Failover(failed, routes))


def test_a_failover_must_respect_the_constraints(h100):
    with pytest.raises(SpecError, match=r"failover\[0\]: 'a' and 'b' must be apart, but are both on gpu-1"):
        plan_with(h100, Failover(("gpu-0",), {"a": {"gpu-1": 1.0}}), Constraints(apart=[("a", "b")]))


def test_a_failover_that_does_not_hold_is_reported_with_the_failed_server(h100, fleet):
    plan = plan_with(h100, Failover(("gpu-0",), {"a": {"gpu-1": 1.0}}))
    hot = Workload([Adapter("a", 8, 18.0), Adapter("b", 8, 18.0)], duration=300.0)
    check = verify(plan.model_copy(update={"workload": hot}))
    assert check.failing == []
    assert not check.ok
    assert check.failures == ["with gpu-0 failed: gpu-1: 2 adapters backlogged"]
