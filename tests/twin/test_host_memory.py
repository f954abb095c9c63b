"""Host memory of adapters: worked out by hand, for whole adapters and for some of their modules."""

import pytest

from adaptwin import Adapter, Workload, load_profile, make_plan
from adaptwin.errors import Infeasible
from adaptwin.profile.memory import GIB
from adaptwin.profile.model_shape import ModelShape
from adaptwin.twin.host_memory import host_bytes

TINY = ModelShape(
    name="tiny", hidden=4, layers=2, heads=2, kv_heads=1, head_dim=2, intermediate=8, vocabulary=10, max_model_len=16
)
ALL = 2 * 2 * (8 + 6 + 6 + 8 + 3 * 12)  # bytes per rank: layers x bytes x inputs and outputs of q, k, v, o and the MLP


@pytest.mark.parametrize(
    ("rank", "modules", "size"),
    [
        (8, None, 8 * ALL),
        (12, ("q_proj", "v_proj"), 12 * 2 * 2 * (8 + 6)),
        (8, ("qkv_proj",), 8 * 2 * 2 * (8 + 6 + 6)),
        (8, ("gate_up_proj", "down_proj"), 8 * 2 * 2 * 3 * 12),
        (8, ("q_proj", "lm_head"), 8 * ALL),  # not a linear layer of a transformer layer
    ],
)
def test_an_adapter_takes_its_matrices_at_its_own_rank(rank, modules, size):
    assert TINY.loaded_bytes(rank, modules) == size


def test_a_server_holds_its_largest_adapters(h100):
    tiny = h100.model_copy(update={"model": TINY})
    adapters = [Adapter(str(rank), rank, 1.0) for rank in (8, 64, 0, 16)]
    assert host_bytes(tiny, adapters, 2) == (64 + 16) * ALL
    assert host_bytes(tiny, adapters, 9) == (64 + 16 + 8) * ALL
    group = tiny.model_copy(update={"tensor_parallel_size": 2})
    assert host_bytes(group, adapters, 2) == 2 * (64 + 16) * ALL  # a process of each GPU holds whole adapters


@pytest.fixture(scope="module")
def h100():
    return load_profile("h100-64gb-llama-3.1-8b-instruct")


@pytest.fixture(scope="module")
def idle():
    """Forty adapters of rank 64, 0.31 GiB each, with little traffic."""
    return Workload([Adapter(f"a{number}", 64, 0.02) for number in range(40)], duration=300.0)


def test_a_plan_says_the_host_memory_of_each_server_and_keeps_a_limit(h100, idle):
    free = make_plan(h100, idle)
    assert [server.forecast.host_memory_gib for server in free.servers] == [
        pytest.approx(40 * 64 * 2 * 32 * 81_920 / GIB)
    ]
    limited = make_plan(h100, idle, host_memory_gib=5.0)
    taken = [server.forecast.host_memory_gib for server in limited.servers]
    assert taken == [pytest.approx(5.0)]
    assert limited.servers[0].server.max_cpu_loras == 16  # 5 GiB / 0.3125 GiB; the others are read from disk


def test_a_limit_that_holds_no_adapter_is_named(h100, idle):
    with pytest.raises(Infeasible, match=r"host_memory_gib: 0\.1 GiB of host memory hold no adapter of 0\.312 GiB"):
        make_plan(h100, idle, host_memory_gib=0.1)
