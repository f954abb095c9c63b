"""Template choice: more requests at once where they save servers, and vLLM's default everywhere else."""

import pytest

from adaptwin import Server, make_plan
from adaptwin.placement.capacity.surrogate_choice import workload_surrogate_for
from adaptwin.placement.capacity.template_choice import chosen_template
from adaptwin.plan.latency_limits import NO_LATENCY_LIMITS, LatencyLimits
from adaptwin.workload.sources.synthetic import synthesize


@pytest.fixture(scope="module")
def hot():
    """Return a workload of many short requests, which 256 at a time hold up."""
    return synthesize(adapters=16, rate=100, ranks=(8,), duration=300.0)


@pytest.fixture(scope="module")
def choose(h100):
    """Return a function from a workload and settings to the template, by predictions or by the twin."""

    def chosen(workload, given=None, limits=NO_LATENCY_LIMITS, surrogate="shipped"):
        given = given or Server()
        known = workload_surrogate_for(surrogate, h100, workload, given)
        return chosen_template(h100, workload, given, 1.0, limits, known)

    return chosen


@pytest.mark.parametrize("surrogate", ["shipped", None])
def test_a_hot_fleet_gets_more_seats(choose, hot, surrogate):
    assert choose(hot, surrogate=surrogate) == Server(max_num_seqs=1024)


def test_a_fleet_that_one_server_bears_keeps_the_defaults(choose, hot):
    assert choose(hot.scaled(0.1)) == Server()


def test_given_settings_stay(choose, hot):
    given = Server(max_num_seqs=64, gpu_memory_utilization=0.8)
    assert choose(hot, given) == given
    assert choose(hot, Server(max_model_len=8192)) == Server(max_model_len=8192, max_num_seqs=1024)


@pytest.mark.long
def test_a_limit_on_itl_is_kept_on_fewer_servers_with_smaller_budgets(h100, hot):
    limit = 0.05
    chosen = make_plan(h100, hot, objective="slo", itl_p99=limit)
    usual = make_plan(h100, hot, objective="slo", itl_p99=limit, server=Server().with_defaults(h100))
    assert chosen.verified
    assert usual.verified
    assert chosen.gpus < usual.gpus
    assert any((server.server.max_num_batched_tokens or 2048) < 2048 for server in chosen.servers)


def test_budgets_are_tried_only_where_latency_is_limited(choose, hot):
    assert choose(hot).max_num_batched_tokens is None
    assert choose(hot, limits=LatencyLimits(itl_p99=0.05)).max_num_batched_tokens in (512, 1024)
