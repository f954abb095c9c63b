"""Diagnoses of stand-in servers, and what the twin of a small plan advises."""

import pytest
from tests.live.metrics_pages import calm_page, starving_page
from tests.live.metrics_stand_in import serving, vllm_handlers
from tests.live.small_plans import crowded_plan, placed, plan_of

from adaptwin import SpecError
from adaptwin.live.addresses import addresses_of
from adaptwin.live.calls import Calls
from adaptwin.live.deployment import deployment_of_plan
from adaptwin.live.diagnose import diagnose
from adaptwin.live.trials import Trials

CALLS = Calls({"gpu-0": "http://a:8000", "gpu-1": "http://b:8000"}, {"a": "/adapters/a"})
SHORT = {"seconds": 0.3, "readings": 4}


def advice_of(plan, binding="slots", calls=CALLS, busy=()):
    """Return the advice for the first server of a plan."""
    deployment = deployment_of_plan(plan)
    here, trials = deployment.servers[0], Trials(deployment, {})
    return trials.advice(here, trials.present([here]).get(here.name), binding, busy, calls)


@pytest.fixture(scope="module")
def crowded(h100):
    return advice_of(crowded_plan(h100))


def test_the_twin_sees_the_shortage_of_slots_and_that_more_of_them_end_it(crowded):
    assert crowded.sees_it
    assert crowded.present.grade == "backlogged"
    assert (crowded.best.kind, crowded.best.what) == ("restart", "max_loras 6 instead of 2")
    assert crowded.best.steps == ("restart gpu-0 with --max-loras 6, and its other flags as they are",)
    assert [server.grade for server in crowded.best.servers] == ["ok"]


def test_other_changes_are_listed_with_what_the_twin_says_of_them(crowded):
    kinds = {change.kind for change in crowded.others}
    assert kinds == {"move", "restart", "new server"}
    assert not any(change.ends_it and change.kind == "move" for change in crowded.others)
    assert all(change.servers for change in crowded.others)


def test_where_moving_one_adapter_ends_it_no_server_restarts(h100):
    servers = placed(h100, "gpu-0", "abc", 2), placed(h100, "gpu-1", "g", 4)
    found = advice_of(plan_of(h100, *servers, rates={"a": 4.0, "b": 4.0, "c": 1.0, "g": 0.5}))
    assert (found.best.kind, found.best.what) == ("move", "a to gpu-1")
    load, route, unload = found.best.steps
    assert load.startswith("curl -fsS -X POST http://b:8000/v1/load_lora_adapter")
    assert '\'{"lora_name": "a", "lora_path": "/adapters/a"}\'' in load
    assert route == "route requests for a to gpu-1"
    assert unload.endswith("""-d '{"lora_name": "a"}'""")
    assert {server.server for server in found.best.servers} == {"gpu-0", "gpu-1"}


def test_a_move_keeps_the_constraints_of_the_plan(h100):
    servers = placed(h100, "gpu-0", "abc", 2), placed(h100, "gpu-1", "g", 4)
    pinned = {"pinned": dict.fromkeys("abc", "gpu-0")}
    plan = plan_of(h100, *servers, rates={"a": 4.0, "b": 4.0, "c": 1.0, "g": 0.5}, constraints=pinned)
    found = advice_of(plan)
    assert {change.kind for change in (found.best, *found.others)} == {"restart"}


def test_names_and_keys_are_quoted_for_the_shell():
    calls = Calls({"b": "http://b"}, {}, with_key=True)
    said = calls.load("it's; rm", "b")
    assert "'\"'\"'" in said
    assert "PATH-OF-it" in said
    assert '"Authorization: Bearer $VLLM_API_KEY"' in said


def test_a_server_that_the_twin_finds_well_gets_no_advice(h100):
    servers = placed(h100, "gpu-0", "ab", 2), placed(h100, "gpu-1", "g", 4)
    found = advice_of(plan_of(h100, *servers, rates={"a": 0.5, "b": 0.5, "g": 0.5}))
    assert (found.sees_it, found.best, found.others) == (False, None, ())


def test_fewer_slots_are_tried_where_the_kv_cache_is_full(h100):
    servers = placed(h100, "gpu-0", "abc", 64, kv_cache_tokens=4096, max_model_len=1024), placed(h100, "gpu-1", "g", 4)
    found = advice_of(plan_of(h100, *servers, rates={"a": 4.0, "b": 4.0, "c": 1.0, "g": 0.5}), "memory")
    changes = {change.what for change in (found.best, *found.others) if change}
    assert {"max_loras 48 instead of 64", "max_loras 40 instead of 64"} <= changes


def test_a_plan_and_two_servers_give_a_diagnosis_with_advice(h100):
    with serving(vllm_handlers(starving_page)) as one, serving(vllm_handlers(calm_page)) as two:
        found = diagnose(addresses_of([one, two]), crowded_plan(h100), **SHORT)
    first, second = found.servers
    assert (first.planned, first.diagnosis.binding, first.advice.best.kind) == ("gpu-0", "slots", "restart")
    assert (second.planned, second.diagnosis.binding, second.advice) == ("gpu-1", "nothing", None)
    assert found.is_trouble
    assert not found.unreadable


def test_a_server_that_cannot_be_read_hides_no_other_and_takes_no_adapter(h100):
    with serving(vllm_handlers(starving_page)) as one:
        found = diagnose(addresses_of([one, "http://127.0.0.1:9"]), crowded_plan(h100), **SHORT)
    assert found.servers[0].diagnosis.binding == "slots"
    assert {change.kind for change in found.servers[0].advice.others} == {"restart", "new server"}
    assert found.unreadable[0].error == "cannot be reached: connection refused"


def test_a_name_that_the_plan_does_not_have_is_refused_before_anything_is_read(h100):
    with pytest.raises(SpecError, match="no server 'gpu-7': it has gpu-0, gpu-1"):
        diagnose(addresses_of(["gpu-7=http://127.0.0.1:9"]), crowded_plan(h100))
