"""Requests of adapters by the counters of servers and routers."""

import pytest
from tests.live.small_plans import placed, plan_of

from adaptwin import load_profile
from adaptwin.live.metering.router_counters import Counted
from adaptwin.live.watching.observed import ObservedServer
from adaptwin.live.watching.planned_shares import requests_as_planned, with_unanswered
from adaptwin.plan.plans import Plans

LLAMA = load_profile("h100-64gb-llama-3.1-8b-instruct")


def measured(requests, finished=None, prompt_tokens=0.0, answer_tokens=0.0):
    return ObservedServer(
        requests=requests,
        finished=requests if finished is None else finished,
        tokens=prompt_tokens + answer_tokens,
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
        ttft=None,
        itl=None,
        waiting=0.0,
        kv_usage=0.0,
    )


def plans(rates):
    """Return a plan where b is split: a quarter of it on the first server."""
    first = placed(LLAMA, "gpu-0", "ab", 8).model_copy(update={"adapters": {"a": 1.0, "b": 0.25}})
    second = placed(LLAMA, "gpu-1", "bc", 8).model_copy(update={"adapters": {"b": 0.75, "c": 1.0}})
    return Plans.model_construct(plans=(plan_of(LLAMA, first, second, rates=rates),))


def test_requests_of_a_server_are_shared_as_planned():
    running = plans({"a": 3.0, "b": 4.0, "c": 0.0})
    found = requests_as_planned(running, {"gpu-0": measured(8.0), "gpu-1": measured(6.0)}, 10.0)
    assert {name: each.requests for name, each in found.items()} == pytest.approx({"a": 60.0, "b": 80.0, "c": 0.0})


def test_servers_that_are_not_known_have_the_planned_requests():
    found = requests_as_planned(plans({"a": 3.0, "b": 4.0, "c": 2.0}), {"gpu-0": measured(8.0)}, 10.0)
    assert {name: each.requests for name, each in found.items()} == pytest.approx({"a": 60.0, "b": 50.0, "c": 20.0})


def test_tokens_are_shared_by_the_tokens_that_are_planned():
    servers = {"gpu-0": measured(8.0, prompt_tokens=800.0, answer_tokens=80.0), "gpu-1": measured(6.0)}
    found = requests_as_planned(plans({"a": 3.0, "b": 4.0, "c": 1.0}), servers, 10.0)
    assert found["a"].prompt_tokens == pytest.approx(6000.0)
    assert found["a"].answer_tokens == pytest.approx(600.0)


def test_answered_requests_grow_by_what_waits_at_their_servers():
    running = plans({"a": 3.0, "b": 4.0, "c": 1.0})
    answered = {name: Counted(100.0, 1.0, 1.0) for name in "abc"}
    servers = {"gpu-0": measured(8.0, finished=4.0), "gpu-1": measured(6.0, finished=5.9)}
    found = {name: each.requests for name, each in with_unanswered(answered, running, servers).items()}
    assert found == pytest.approx({"a": 200.0, "b": 125.0, "c": 100.0})
