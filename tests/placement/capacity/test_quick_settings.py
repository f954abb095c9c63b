"""Quick settings: a lower latency for the same adapters and slots, without serving less."""

import pytest

from adaptwin import Server
from adaptwin.placement.capacity.answer import Answer
from adaptwin.placement.capacity.latency_score import latency_score
from adaptwin.placement.capacity.quick_settings import quick_settings
from adaptwin.workload.sources.synthetic import synthesize


def answer(itl, ttft):
    """Return an answer with these 99th percentiles, in seconds."""
    return Answer(True, "ok", 1.0, 100.0, 1.0, itl, itl, ttft)


def test_the_score_is_the_latency_as_long_as_the_other_one_is_tolerable():
    assert latency_score(answer(0.05, 0.9), "itl") == 0.05
    assert latency_score(answer(0.09, 0.3), "ttft") == 0.3


def test_beyond_that_the_other_latency_counts_in_proportion():
    assert latency_score(answer(0.05, 3.0), "itl") == pytest.approx(0.15)
    assert latency_score(answer(0.2, 0.3), "ttft") == pytest.approx(0.6)


@pytest.fixture(scope="module")
def served(capacity_of):
    """Return the capacity, the adapters and the settings of a server with some room."""
    workload = synthesize(adapters=12, rate=18, ranks=(8, 16), duration=300.0)
    capacity = capacity_of(workload)
    shares = dict.fromkeys(capacity.names, 1.0)
    return capacity, shares, capacity.server(shares, 8)


@pytest.mark.parametrize("latency", ["itl", "ttft"])
def test_the_score_falls_by_a_tenth_or_the_settings_stay(served, latency):
    capacity, shares, server = served
    found = quick_settings(capacity, shares, server, Server(), latency)
    before, after = (latency_score(capacity.ask_on(shares, each), latency) for each in (server, found))
    assert found == server or after < 0.9 * before
    assert capacity.ask_on(shares, found).ok


def test_the_itl_of_a_server_with_room_falls(served):
    capacity, shares, server = served
    found = quick_settings(capacity, shares, server, Server(), "itl")
    assert found.max_num_batched_tokens == 512
    assert found.max_loras == 8
    assert capacity.ask_on(shares, found).itl_p99 < capacity.ask_on(shares, server).itl_p99


def test_given_settings_stay(served):
    capacity, shares, server = served
    given = Server(max_num_seqs=256, max_num_batched_tokens=2048)
    fixed = server.model_copy(update={"max_num_seqs": 256, "max_num_batched_tokens": 2048})
    assert quick_settings(capacity, shares, fixed, given, "itl") == fixed
