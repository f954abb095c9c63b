"""Which servers of a plan were seen, and what differs from the plan."""

import pytest
from tests.live.metrics_pages import metrics_page, watched_by
from tests.live.small_plans import crowded_plan

from adaptwin.live.deployment import as_seen, deployment_of_fleet, deployment_of_plan, names_in_plan
from adaptwin.live.watch import Unreadable
from adaptwin.plan.fleet import Fleet

NAMES = ["gpu-0", "gpu-1"]


def seen_at(url, **fields):
    return watched_by([metrics_page()], name=url, url=url, **fields)


def test_servers_are_those_of_the_plan_in_its_order_even_if_one_is_unreadable():
    seen = [Unreadable("http://a", "http://a", "no"), seen_at("http://b")]
    assert names_in_plan(seen, {}, NAMES) == {"http://a": "gpu-0", "http://b": "gpu-1"}


def test_a_name_that_was_given_goes_before_the_order():
    seen = [seen_at("http://a"), seen_at("http://b")]
    assert names_in_plan(seen, {"http://a": "gpu-1"}, NAMES) == {"http://a": "gpu-1", "http://b": "gpu-0"}


def test_one_address_of_several_servers_is_not_guessed():
    assert names_in_plan([seen_at("http://a")], {}, NAMES) == {}


def test_a_server_of_prometheus_has_the_name_that_a_label_says():
    seen = [seen_at("10.0.0.1:8000", labels=frozenset({"vllm", "gpu-1"}))]
    assert names_in_plan(seen, {}, NAMES) == {"10.0.0.1:8000": "gpu-1"}


def test_the_settings_that_a_server_runs_with_replace_those_of_the_plan(h100):
    deployment = deployment_of_plan(crowded_plan(h100))
    seen = watched_by([metrics_page(max_loras=8, busy=("a", "g"))])
    server, differences = as_seen(deployment.servers[0], h100, seen, max_num_seqs=64)
    assert (server.server.max_loras, server.server.max_cpu_loras, server.server.max_num_seqs) == (8, 8, 64)
    assert differences == (
        "max_loras is 8, and 2 was expected",
        "adapters have requests here that belong elsewhere: g",
    )


def test_the_size_of_the_kv_cache_is_that_of_the_server(h100):
    page = metrics_page(max_loras=2, busy=("a",))
    page += 'vllm:cache_config_info{num_gpu_blocks="5000",block_size="16",gpu_memory_utilization="0.8"} 1.0\n'
    server, differences = as_seen(deployment_of_plan(crowded_plan(h100)).servers[0], h100, watched_by([page]))
    assert (server.server.kv_cache_tokens, server.server.gpu_memory_utilization) == (80_000, 0.8)
    assert [line.split(" ")[0] for line in differences] == ["gpu_memory_utilization", "the"]


def test_servers_share_a_fleet_evenly(h100, fleet):
    workload = fleet(("a", 8, 1.0), ("b", 64, 2.0))
    deployment = deployment_of_fleet(Fleet(**dict(workload)), h100, ["x", "y"])
    assert [server.adapters for server in deployment.servers] == [{"a": 0.5, "b": 0.5}] * 2
    assert deployment.servers[0].server.max_lora_rank == 64


@pytest.mark.parametrize("expected", [True, False])
def test_slots_that_a_fleet_does_not_fix_differ_from_nothing(h100, fleet, expected):
    settings = {"max_loras": 2} if expected else {}
    deployment = deployment_of_fleet(Fleet(**dict(fleet(("a", 8, 1.0))), server=settings), h100, ["x"])
    server, differences = as_seen(deployment.servers[0], h100, watched_by([metrics_page(max_loras=4, busy=("a",))]))
    assert server.server.max_loras == 4
    assert len(differences) == expected
