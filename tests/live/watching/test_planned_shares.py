"""Requests of adapters by the counters of servers and routers."""

import numpy as np
import pytest
from tests.live.small_plans import placed, plan_of

from adaptwin import Lengths, load_profile
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


def test_servers_that_are_not_known_have_requests_of_the_planned_lengths():
    found = requests_as_planned(plans({"a": 3.0, "b": 4.0, "c": 2.0}), {}, 10.0)
    assert found["c"] == pytest.approx((20.0, 20.0 * 200, 20.0 * 150))


def test_adapters_of_long_prompts_and_of_long_answers_keep_their_lengths():
    running = plans({"a": 1.0, "b": 4.0, "c": 1.0})
    [plan] = running.plans
    prompts, answers = Lengths.fixed(1000, 10), Lengths.fixed(10, 1000)
    others = {"a": prompts, "b": answers}
    adapters = [each.model_copy(update={"lengths": others.get(each.name)}) for each in plan.workload.adapters]
    workload = plan.workload.model_copy(update={"adapters": tuple(adapters)})
    running = Plans.model_construct(plans=(plan.model_copy(update={"workload": workload}),))
    servers = {"gpu-0": measured(2.0, prompt_tokens=1010.0, answer_tokens=1010.0)}
    found = requests_as_planned(running, servers, 10.0)
    assert found["a"] == pytest.approx((10.0, 10_000.0, 100.0))


def test_requests_of_an_overloaded_server_are_as_long_as_those_that_it_answers():
    servers = {"gpu-0": measured(8.0, finished=2.0, prompt_tokens=400.0, answer_tokens=300.0)}
    found = requests_as_planned(plans({"a": 4.0, "b": 0.0, "c": 0.0}), servers, 10.0)
    assert found["a"] == pytest.approx((80.0, 80.0 * 200, 80.0 * 150))


def answers(**numbers):
    return {name: Counted(number, 200.0 * number, 150.0 * number) for name, number in numbers.items()}


def test_answered_requests_grow_by_what_waits_at_their_servers():
    running = plans({"a": 3.0, "b": 4.0, "c": 1.0})
    servers = {"gpu-0": measured(8.0, finished=3.0), "gpu-1": measured(6.0, finished=6.0)}
    found = with_unanswered(answers(a=20.0, b=40.0, c=30.0), running, servers, 10.0)
    assert {name: each.requests for name, each in found.items()} == pytest.approx({"a": 160 / 3, "b": 170 / 3, "c": 30})
    assert found["a"].prompt_tokens / found["a"].requests == pytest.approx(200.0)


def test_requests_that_waited_before_are_not_counted_again():
    servers = {"gpu-0": measured(2.0, finished=3.0), "gpu-1": measured(0.0, finished=0.0)}
    found = with_unanswered(answers(a=30.0), plans({"a": 3.0, "b": 0.0, "c": 0.0}), servers, 10.0)
    assert found["a"] == pytest.approx((20.0, 4000.0, 3000.0))


def test_a_server_without_any_answer_has_its_requests_as_planned():
    servers = {"gpu-0": measured(8.0, finished=0.0)}
    found = with_unanswered({}, plans({"a": 3.0, "b": 4.0, "c": 1.0}), servers, 10.0)
    assert found["a"] == pytest.approx((60.0, 12_000.0, 9000.0))
    assert "c" not in found


def test_more_arrivals_than_answers_by_chance_do_not_raise_the_mean():
    random, running = np.random.default_rng(2), plans({"a": 1.0, "b": 0.0, "c": 0.0})
    waits = np.concatenate([[0], random.poisson(2.0, 1000)])
    arrivals = random.poisson(10.0, 1000)
    answered = np.maximum(0, arrivals - np.diff(waits))
    total = sum(
        with_unanswered(answers(a=done), running, {"gpu-0": measured(number / 10.0, finished=done / 10.0)}, 10.0)[
            "a"
        ].requests
        for number, done in zip(arrivals.tolist(), answered.tolist(), strict=True)
    )
    assert total == pytest.approx(arrivals.sum(), rel=0.01)
