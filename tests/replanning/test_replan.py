"""replan: small changes of the workload cause few moves, further moves pay off, and the plan is verified."""

import numpy as np
import pytest

from adaptwin import Adapter, Infeasible, Plan, Server, SpecError, Workload, make_plan, replan, verify
from adaptwin.plan.check import Check
from adaptwin.plan.decisions import Alternative
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer
from adaptwin.replanning.ordering import migration
from adaptwin.workload.sources.synthetic import synthesize

WINDOW = 300.0


@pytest.fixture(scope="module")
def fleet_plan(h100):
    """Return a plan for sixty adapters on at least three servers."""
    workload = synthesize(adapters=60, rate=60, ranks=(8, 16, 32), popularity="zipf:0.9", duration=WINDOW)
    plan = make_plan(h100, workload, server=Server(max_num_seqs=256))
    assert plan.gpus >= 3
    return plan


@pytest.fixture
def running(h100):
    """Return a function from workload and servers (settings, adapters) to a running plan, which is not verified."""

    def make(workload, servers, **fields):
        placed = tuple(
            PlacedServer(name=name, profile=h100.name, server=server, adapters=dict.fromkeys(names, 1.0))
            for name, (server, names) in servers.items()
        )
        defaults = {"options": PlanOptions(), "seed": 0, "lower_bound": 1, "profiles": (h100,)}
        return Plan(**{**defaults, "servers": placed, "workload": workload, **fields})

    return make


def with_rates(workload, rates):
    """Return the workload with other rates for some adapters."""
    changed = tuple(a.model_copy(update={"rate": rates.get(a.name, a.rate)}) for a in workload.adapters)
    return workload.model_copy(update={"adapters": changed})


def plus(workload, *adapters):
    return workload.model_copy(update={"adapters": (*workload.adapters, *adapters)})


def where(plan):
    """Return the adapters of each server, by its name."""
    return {server.name: set(server.adapters) for server in plan.servers}


def actions(plan):
    return [(step.action, *(value for value in (step.server, step.adapter) if value)) for step in plan.migration.steps]


def slots(max_loras, max_lora_rank, max_cpu_loras=16):
    return Server(max_loras=max_loras, max_lora_rank=max_lora_rank, max_cpu_loras=max_cpu_loras)


def test_the_same_workload_changes_nothing(fleet_plan):
    again = replan(fleet_plan, fleet_plan.workload)
    assert again.migration.steps == ()
    assert [(s.name, s.server, s.adapters) for s in again.servers] == [
        (s.name, s.server, s.adapters) for s in fleet_plan.servers
    ]
    assert again.verified


def test_a_new_adapter_that_fits_moves_no_other(fleet_plan):
    new = replan(fleet_plan, plus(fleet_plan.workload, Adapter("new", 8, 0.02)))
    loads = [step for step in new.migration.steps if step.action == "load"]
    assert [(step.adapter, step.action) for step in new.migration.steps] == [("new", "load"), ("new", "route")]
    assert "new" in where(new)[loads[0].server]
    assert (new.migration.moves, new.migration.restarts, new.migration.added) == (0, 0, 1)
    assert new.gpus == fleet_plan.gpus
    assert new.verified


def test_departed_adapters_are_unloaded(fleet_plan):
    first = next(iter(fleet_plan.servers[0].adapters))
    left = tuple(adapter for adapter in fleet_plan.workload.adapters if adapter.name != first)
    new = replan(fleet_plan, fleet_plan.workload.model_copy(update={"adapters": left}), move_cost=1.0)
    assert actions(new) == [("route", first), ("unload", fleet_plan.servers[0].name, first)]
    assert new.migration.departed == 1


def test_a_server_whose_adapters_all_departed_is_stopped(running, fleet):
    plan = running(fleet(("a", 8, 1.0), ("b", 8, 1.0)), {"x": (slots(1, 8), ["a"]), "y": (slots(1, 8), ["b"])})
    new = replan(plan, fleet(("b", 8, 1.0)), move_cost=10.0)
    assert where(new) == {"y": {"b"}}
    assert actions(new) == [("route", "a"), ("stop", "x")]


@pytest.fixture
def two_halves(running, fleet):
    """Return a plan with four adapters on each of two servers, where one server is enough."""
    names = [f"a{i}" for i in range(8)]
    workload = fleet(*((name, 8, 0.5) for name in names))
    return running(workload, {"x": (slots(8, 8), names[:4]), "y": (slots(8, 8), names[4:])})


def test_an_unneeded_server_is_stopped_when_moves_are_cheap(two_halves):
    new = replan(two_halves, two_halves.workload, move_cost=0.01)
    assert new.gpus == 1
    assert (new.migration.gpus_before, new.migration.moves, new.migration.restarts) == (2, 4, 0)
    assert new.migration.steps[-1].action == "stop"


def test_when_moves_are_expensive_no_adapter_moves(two_halves):
    new = replan(two_halves, two_halves.workload, move_cost=0.3)
    assert where(new) == where(two_halves)
    assert new.migration.steps == ()


def test_an_adapter_that_gets_too_hot_for_its_server_causes_few_moves(fleet_plan):
    rates = {adapter.name: adapter.rate for adapter in fleet_plan.workload.adapters}
    fullest = min(fleet_plan.servers, key=lambda server: server.forecast.headroom)
    hot = max(fullest.adapters, key=rates.__getitem__)
    new = replan(fleet_plan, with_rates(fleet_plan.workload, {hot: 2.5 * rates[hot]}))
    assert new.verified
    assert 0 < new.migration.moves + new.migration.restarts <= 8


def test_an_adapter_too_hot_for_any_server_is_split(running, fleet):
    plan = running(fleet(("a", 8, 10.0)), {"x": (slots(1, 8), ["a"])})
    new = replan(plan, fleet(("a", 8, 45.0)))
    assert new.verified
    assert "x" in where(new)
    assert new.gpus == make_plan(plan.profiles[0], new.workload).gpus


def test_an_adapter_whose_rank_grew_goes_where_the_rank_is(running, fleet):
    plan = running(fleet(("a", 8, 1.0), ("b", 16, 1.0)), {"x": (slots(2, 8), ["a"]), "y": (slots(2, 16), ["b"])})
    new = replan(plan, fleet(("a", 16, 1.0), ("b", 16, 1.0)))
    assert where(new) == {"y": {"a", "b"}}
    assert actions(new) == [("load", "y", "a"), ("route", "a"), ("stop", "x")]


def test_a_server_restarts_where_no_other_has_the_rank(running, fleet):
    plan = running(fleet(("a", 8, 1.0)), {"x": (slots(1, 8), ["a"])})
    new = replan(plan, fleet(("a", 64, 1.0)))
    assert where(new) == {"x": {"a"}}
    assert new.servers[0].server.max_lora_rank == 64
    assert (new.migration.restarts, new.migration.extra_gpus) == (1, 1)


def test_a_new_server_is_started_where_that_is_cheaper_than_a_restart(running, fleet):
    plan = running(fleet(("a", 8, 1.0)), {"x": (slots(1, 8), ["a"])})
    new = replan(plan, fleet(("a", 8, 1.0), ("b", 64, 1.0)), restart_cost=5.0, move_cost=5.0)
    assert where(new) == {"x": {"a"}, "gpu-0": {"b"}}
    assert new.migration.restarts == 0
    assert replan(plan, new.workload, restart_cost=0.2).gpus == 1


def test_new_servers_have_the_settings_common_to_all(running, fleet):
    given = {"max_num_seqs": 64, "gpu_memory_utilization": 0.8}
    common = slots(1, 8).model_copy(update=given)
    plan = running(fleet(("a", 8, 1.0)), {"x": (common, ["a"])}, settings=Server(**given))
    new = replan(plan, fleet(("a", 8, 1.0), ("b", 64, 1.0)), restart_cost=5.0, move_cost=5.0)
    assert [(s.server.max_num_seqs, s.server.gpu_memory_utilization) for s in new.servers] == [(64, 0.8)] * 2


def test_settings_that_were_chosen_stay_on_running_servers_and_are_chosen_anew_for_others(running, fleet):
    few = slots(1, 8).model_copy(update={"max_num_seqs": 64})
    plan = running(fleet(("a", 8, 1.0)), {"x": (few, ["a"])})
    assert replan(plan, plan.workload).migration.steps == ()
    new = replan(plan, fleet(("a", 8, 1.0), ("b", 64, 1.0)), restart_cost=5.0, move_cost=5.0)
    assert {server.name: server.server.max_num_seqs for server in new.servers} == {"x": 64, "gpu-0": None}


def test_a_server_restarts_with_more_seats_where_its_own_are_too_few(running, fleet):
    few = slots(1, 8).model_copy(update={"max_num_seqs": 8})
    plan = running(fleet(("a", 8, 1.0)), {"x": (few, ["a"])})
    new = replan(plan, fleet(("a", 8, 10.0)))
    assert [(server.name, server.server.max_num_seqs) for server in new.servers] == [("x", None)]
    assert (new.migration.restarts, new.verified) == (1, True)


def test_bounds_and_decisions_are_those_of_the_new_traffic(running, fleet, h100):
    priced = h100.model_copy(update={"price_per_hour": 2.0})
    old = {"cost_bound": 77.0, "alternatives": (Alternative(without="max_num_seqs", gpus=9, found_by="search"),)}
    plan = running(fleet(("a", 8, 1.0)), {"x": (slots(1, 8), ["a"])}, profiles=(priced,), **old)
    new = replan(plan, fleet(("a", 8, 2.0)))
    assert (new.cost_bound, new.alternatives) == (2.0, ())
    assert not any(server.decisions for server in new.servers)


def test_a_fresh_plan_is_used_where_it_is_worth_its_moves(running, fleet):
    names = [f"a{i}" for i in range(12)]
    workload = fleet(*((name, 8 if i % 2 else 64, 1.0) for i, name in enumerate(names)))
    servers = {f"s{i}": (slots(1, 64), names[3 * i : 3 * i + 3]) for i in range(4)}
    new = replan(running(workload, servers), workload, move_cost=0.0, restart_cost=0.0)
    assert new.gpus == make_plan(new.profiles[0], workload).gpus
    assert set(where(new)) <= set(servers)


@pytest.mark.parametrize("seed", [1, 2])
def test_after_a_tenth_of_the_rates_changed_few_move_and_gpus_are_about_those_of_a_fresh_plan(h100, fleet_plan, seed):
    random = np.random.default_rng(seed)
    adapters = fleet_plan.workload.adapters
    chosen = random.choice(len(adapters), len(adapters) // 10, replace=False)
    rates = {adapters[i].name: adapters[i].rate * float(random.uniform(0.5, 2.0)) for i in chosen}
    workload = with_rates(fleet_plan.workload, rates)
    new = replan(fleet_plan, workload)
    assert new.verified
    assert new.migration.moves <= len(adapters) // 6
    assert new.gpus <= make_plan(h100, workload, server=fleet_plan.settings).gpus + 1


def test_the_result_is_a_plan_for_the_new_workload_with_the_options_of_the_old(h100, fleet):
    plan = make_plan(h100, fleet(("a", 8, 1.0)), headroom=0.2, margin=0.1, seed=3)
    workload = fleet(("a", 8, 2.0), ("b", 8, 1.0))
    new = replan(plan, workload)
    assert new.workload == workload
    assert (new.options.objective, new.options.strategy, new.seed, new.options.headroom, new.margin) == (
        "min-gpus",
        "pack",
        3,
        0.2,
        0.1,
    )
    assert new.profiles == plan.profiles
    assert all(server.forecast.headroom >= 0.3 for server in new.servers)
    assert new.migration == migration(plan, new)
    check = verify(new, seed=9)
    assert isinstance(check, Check)
    assert check.ok


def test_replanning_is_deterministic_and_does_not_modify_its_arguments(fleet_plan):
    workload = plus(fleet_plan.workload, Adapter("new", 32, 3.0))
    before = fleet_plan.model_dump_json(), workload.model_dump_json()
    first, again = (replan(fleet_plan, workload) for _ in range(2))
    assert first.model_copy(update={"planning_seconds": 0.0}) == again.model_copy(update={"planning_seconds": 0.0})
    assert (fleet_plan.model_dump_json(), workload.model_dump_json()) == before


def test_a_plan_can_be_changed_again_and_again(fleet_plan):
    plan = fleet_plan
    for number in range(3):
        plan = replan(plan, plus(plan.workload, Adapter(f"new-{number}", 16, 1.0)))
        assert plan.verified
        assert plan.migration.added == 1
    assert plan.gpus <= fleet_plan.gpus + 1


def test_out_of_time_the_plan_is_still_verified(fleet_plan):
    new = replan(fleet_plan, plus(fleet_plan.workload, Adapter("new", 8, 0.02)), time_limit=1e-9)
    assert new.verified
    assert new.time_limit_hit


def test_progress_comes_to_its_end(fleet_plan):
    told = []
    replan(fleet_plan, fleet_plan.workload, progress=lambda *what: told.append(what))
    last = {stage: (done, total) for stage, done, total in told}
    assert {"rearranging", "verifying", "measuring headroom"} <= set(last)
    assert all(done == total for done, total in last.values())


def test_wrong_arguments_are_refused(running, h100, fleet):
    workload = fleet(("a", 8, 1.0))
    plan = running(workload, {"x": (slots(1, 8), ["a"])})
    nothing = running(Workload([]), {})
    with pytest.raises(SpecError, match=r"^servers: the plan has none"):
        replan(nothing, workload)
    with pytest.raises(SpecError, match=r"^adapters: lists no adapter$"):
        replan(plan, Workload([]))
    with pytest.raises(SpecError, match=r"^move_cost: -1 must be at least 0$"):
        replan(plan, workload, move_cost=-1)
    with pytest.raises(SpecError, match=r"^restart_cost: -1 must be at least 0$"):
        replan(plan, workload, restart_cost=-1)


def test_plans_on_several_profiles_are_refused(running, h100, fleet):
    workload, other = fleet(("a", 8, 1.0), ("b", 8, 1.0)), h100.model_copy(update={"name": "other"})
    plan = running(workload, {"x": (slots(1, 8), ["a"]), "y": (slots(1, 8), ["b"])}, profiles=(h100, other))
    mixed = (plan.servers[0], plan.servers[1].model_copy(update={"profile": "other"}))
    with pytest.raises(SpecError, match=rf"^servers: run on {h100.name}, other: only plans on one profile"):
        replan(plan.model_copy(update={"servers": mixed}), workload)


def test_an_adapter_that_cannot_be_served_is_named(running, fleet):
    plan = running(fleet(("a", 8, 1.0)), {"x": (slots(1, 8), ["a"])})
    hopeless = plus(fleet(("a", 8, 1.0)), Adapter("b", 8, 1.0, slo_itl=1e-6))
    with pytest.raises(Infeasible, match=r"^adapters\[1\]\.rate: 1 requests/s of 'b' cannot be served"):
        replan(plan, hopeless)
