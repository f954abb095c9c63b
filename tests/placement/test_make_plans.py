"""make_plans: one plan for each base model, with the options of the fleet."""

import pytest

from adaptwin import Adapter, Constraints, Infeasible, SpecError, Workload, load_profile, make_plan, make_plans, verify
from adaptwin.placement.find_plans import share_of_time

WINDOW = 300.0
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
QWEN = "Qwen/Qwen2.5-7B-Instruct"


@pytest.fixture(scope="module")
def qwen():
    return load_profile("h100-64gb-qwen-2.5-7b-instruct")


@pytest.fixture(scope="module")
def mixed():
    """Return six adapters, of Llama and Qwen in turn."""
    return Workload([Adapter(f"a{i}", 8, 0.5, base=(LLAMA, QWEN)[i % 2]) for i in range(6)], duration=WINDOW)


@pytest.fixture(scope="module")
def planned(h100, qwen, mixed):
    return make_plans([h100, qwen], mixed)


def bases(workload):
    return {adapter.name: adapter.base for adapter in workload.adapters}


def test_every_adapter_is_served_by_its_base_and_nowhere_else(planned, mixed):
    served = [(name, plan.base) for plan in planned.plans for server in plan.servers for name in server.adapters]
    assert sorted(served) == sorted(bases(mixed).items())
    assert planned.verified


def test_servers_are_numbered_through_the_fleet(planned):
    assert [server.name for plan in planned.plans for server in plan.servers] == ["gpu-0", "gpu-1"]


def test_each_plan_holds_in_the_simulations_that_verified_it(planned):
    for plan in planned.plans:
        assert all(verify(plan, seed).ok for seed in plan.verified_seeds)


def test_the_plan_of_the_first_base_is_that_which_make_plan_finds(planned, h100, mixed):
    alone = make_plan(h100, mixed.model_copy(update={"adapters": mixed.adapters[::2]}))
    assert planned.plans[0].servers == alone.servers


def test_one_base_model_is_planned_as_by_make_plan(h100, mixed):
    llama = mixed.model_copy(update={"adapters": mixed.adapters[::2]})
    (plan,) = make_plans([h100], llama, headroom=0.1).plans
    assert plan.servers == make_plan(h100, llama, headroom=0.1).servers


def test_spare_gpus_are_of_each_base_model(h100, qwen, mixed):
    plans = make_plans([h100, qwen], mixed, spare=1)
    assert [plan.gpus for plan in plans.plans] == [2, 2]
    assert plans.lower_bound == 4
    names = [server.name for plan in plans.plans for server in plan.servers]
    assert len(set(names)) == 4
    failing = {name for plan in plans.plans for failover in plan.failover for name in failover.failed}
    standbys = {server.name for plan in plans.plans for server in plan.standbys}
    assert failing | standbys == set(names)


def test_prices_and_constraints_go_to_the_base_models_that_they_are_about(h100, qwen, mixed):
    constraints = Constraints(pinned={"a1": "gpu-0"}, apart=(("a0", "a1", "a2"),))
    plans = make_plans([h100, qwen], mixed, constraints=constraints, prices={h100.name: 2.5, qwen.name: 2.0})
    llama, other = plans.plans
    assert llama.options.prices == {h100.name: 2.5}
    assert llama.options.constraints == Constraints(apart=(("a0", "a2"),))
    assert other.options.constraints == Constraints(pinned={"a1": "gpu-0"})
    assert [server.name for server in llama.servers] == ["gpu-1", "gpu-2"]
    assert [server.name for server in other.servers] == ["gpu-0"]
    assert plans.cost_per_hour == 2 * 2.5 + 2.0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"objective": "min-latency", "gpus": 4}, "objective: min-latency uses a given number of GPUs"),
        ({"objective": "max-throughput", "gpus": 4}, "objective: max-throughput uses a given number of GPUs"),
        ({"gpus": 4}, "gpus: 4: min-gpus finds the number of GPUs"),
        ({"constraints": Constraints(together=(("a0", "a1"),))}, "'a1' and 'a0' must share a server, but have"),
        ({"constraints": Constraints(pinned={"a0": "x", "a1": "x"})}, "must share a server, but have different base"),
        ({"constraints": Constraints(apart=(("a0", "b"),))}, "'b' is not an adapter of the workload"),
        ({"prices": {"l40s": 1.0}}, "prices: 'l40s' is not one of h100"),
        ({"hedroom": 0.1}, "hedroom: unknown key"),
    ],
)
def test_options_that_do_not_suit_several_base_models_are_refused(h100, qwen, mixed, options, said):
    with pytest.raises(SpecError, match=said):
        make_plans([h100, qwen], mixed, **options)


def test_two_profiles_of_one_name_are_refused(h100, qwen, mixed):
    with pytest.raises(SpecError, match="is the name of several profiles"):
        make_plans([h100, qwen.model_copy(update={"name": h100.name})], mixed)


def test_a_base_model_that_has_no_plan_is_named(h100, qwen, mixed):
    impossible = mixed.adapters[1].model_copy(update={"slo_itl": 1e-6})
    workload = mixed.model_copy(update={"adapters": (mixed.adapters[0], impossible)})
    with pytest.raises(Infeasible, match=f"^{QWEN}: "):
        make_plans([h100, qwen], workload)


def test_the_time_limit_is_divided_equally_between_the_plans_that_are_left():
    assert share_of_time(1e9, 0.0, 4) == pytest.approx(2.5e8, rel=1e-2)
    assert 0 < share_of_time(1e-9, 0.0, 2) < 0.01
