"""A limit on host memory: servers hold as many adapters as fit, and read the others from disk if that serves them."""

import pytest

from adaptwin import Infeasible, make_plan, verify
from adaptwin.workload.sources.synthetic import synthesize


@pytest.fixture(scope="module")
def cold():
    """Return a workload of many cold adapters, which together need 7 GiB of host memory."""
    return synthesize(adapters=80, rate=4, ranks=(8, 32), duration=300.0)


@pytest.fixture(scope="module")
def limited(h100, cold):
    """Return the plan with 3 GiB for each server."""
    return make_plan(h100, cold, host_memory_gib=3.0)


def test_more_adapters_than_fit_are_placed_on_a_server(limited):
    assert limited.verified
    held = [(server.server.max_cpu_loras, len(server.adapters)) for server in limited.servers]
    assert any(most < adapters for most, adapters in held)


def test_the_limit_is_kept_and_the_slots_fit_into_host_memory(limited):
    assert all(server.forecast.host_memory_gib <= 3.0 for server in limited.servers)
    assert all(server.server.max_loras <= server.server.max_cpu_loras for server in limited.servers)


def test_the_plan_says_what_holding_all_adapters_would_change(limited):
    (decision,) = [each for each in limited.servers[0].decisions if each.setting == "max_cpu_loras"]
    assert decision.chosen < decision.default == len(limited.servers[0].adapters)
    assert decision.without.verdict == "ok"


def test_reading_from_disk_again_shows_in_the_time_to_the_first_token(h100, cold, limited):
    free = make_plan(h100, cold)
    worst = [max(run.ttft.p99 for run in verify(plan, 5).runs) for plan in (free, limited)]
    assert free.gpus <= limited.gpus
    assert worst[0] < worst[1]


def test_an_adapter_that_does_not_fit_alone_is_refused(h100, cold):
    with pytest.raises(Infeasible, match="GiB of host memory hold no adapter of"):
        make_plan(h100, cold, host_memory_gib=0.01)
