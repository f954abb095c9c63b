"""A table of servers holds their limits and costs, and compiled loops read them back as they were."""

import pytest

from adaptwin import Server, load_profile, shipped_profiles
from adaptwin.steady_state.costs import costs_of
from adaptwin.surrogate.server_table import costs_in, limits_in, server_table

SERVERS = [
    Server(),
    Server(max_loras=0),
    Server(max_loras=7, max_lora_rank=64, max_cpu_loras=9, max_num_seqs=11, max_num_batched_tokens=4096),
    Server(max_model_len=4096, block_size=32, watermark=0.01, async_scheduling=True, scheduler_reserve_full_isl=True),
]


@pytest.mark.parametrize("name", shipped_profiles())
def test_servers_are_read_back_as_they_were(name):
    profile = load_profile(name)
    servers = [(server.limits(profile), costs_of(profile, server)) for server in SERVERS]
    table = server_table(servers)
    assert [(limits_in(table, i), costs_in(table, i)) for i in range(len(table))] == servers


def test_the_values_of_different_fields_differ(h100):
    """Otherwise two fields could be exchanged unnoticed."""
    newer = h100.model_copy(update={"vllm_version": "0.32.0"})  # other slots in the grid without an adapter
    limits, costs = SERVERS[2].limits(newer), costs_of(newer, SERVERS[2])
    steps = [value for value in costs.step if value]
    assert len(set(steps)) == len(steps) > 8
    assert len({*limits[:7]}) == 7
