"""replan_plans: each base model of a running fleet is changed on its own, with names that are new in the fleet."""

import pytest

from adaptwin import Adapter, SpecError, Workload, load_profile, make_plans, replan, replan_plans

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
QWEN = "Qwen/Qwen2.5-7B-Instruct"


def workload(*adapters):
    return Workload([Adapter(name, 8, rate, base=base) for name, rate, base in adapters], duration=300.0)


@pytest.fixture(scope="module")
def running(h100):
    profiles = [h100, load_profile("h100-64gb-qwen-2.5-7b-instruct")]
    return make_plans(profiles, workload(("a", 1.0, LLAMA), ("b", 1.0, LLAMA), ("c", 1.0, QWEN)))


def names(plans):
    return [[server.name for server in plan.servers] for plan in plans.plans]


def test_only_the_base_model_that_changes_gets_steps(running):
    more = workload(("a", 1.0, LLAMA), ("b", 1.0, LLAMA), ("c", 1.0, QWEN), ("d", 1.0, QWEN))
    plans = replan_plans(running, more)
    llama, qwen = plans.plans
    assert llama.migration.steps == ()
    assert qwen.migration.added == 1
    assert {name for server in qwen.servers for name in server.adapters} == {"c", "d"}
    assert plans.verified


def test_each_base_model_is_changed_as_by_replan(running):
    grown = workload(("a", 3.0, LLAMA), ("b", 1.0, LLAMA), ("e", 1.0, LLAMA), ("c", 1.0, QWEN))
    llama = grown.model_copy(update={"adapters": grown.adapters[:3]})
    alone = replan(running.plans[0], llama, taken=["gpu-1"])
    assert replan_plans(running, grown).plans[0].servers == alone.servers


def test_new_servers_get_names_that_no_server_of_another_base_model_has(running):
    assert names(running) == [["gpu-0"], ["gpu-1"]]
    plans = replan_plans(running, workload(("a", 30.0, LLAMA), ("b", 30.0, LLAMA), ("c", 1.0, QWEN)))
    assert names(plans) == [["gpu-0", "gpu-2"], ["gpu-1"]]


@pytest.mark.parametrize(
    ("adapters", "said"),
    [
        ([("a", 1.0, LLAMA)], f"adapters: none is left for {QWEN}"),
        ([("a", 1.0, LLAMA), ("c", 1.0, None)], r"1 of 2 names no base model \(c\)"),
        ([("a", 1.0, LLAMA), ("c", 1.0, "microsoft/phi-4")], "no profile serves microsoft/phi-4, the base of c"),
    ],
)
def test_a_base_model_that_leaves_or_comes_is_refused(running, adapters, said):
    with pytest.raises(SpecError, match=said):
        replan_plans(running, workload(*adapters))
