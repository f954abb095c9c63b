"""Server: vLLM's defaults, and settings that vLLM would refuse."""

import pytest
from tests.twin.scenarios import plain_profile

from adaptwin import Adapter, OutOfMemory, Server, SpecError, Workload, load_profile, simulate
from adaptwin.profile.sharding import slot_share
from adaptwin.twin.scenario import make_scenario
from adaptwin.twin.server import server_rank
from adaptwin.twin.vllm_defaults import vllm_defaults


@pytest.mark.parametrize(
    ("gib", "tokens", "seqs"),
    [(24, 2048, 256), (63.4, 2048, 256), (70, 8192, 1024), (80, 8192, 1024), (160, 16384, 1024), (192, 16384, 1024)],
)
def test_default_budgets_follow_the_memory_of_the_gpu(gib, tokens, seqs):
    usual = vllm_defaults("some GPU", gib, "0.8.5")
    assert (usual.max_num_batched_tokens, usual.max_num_seqs) == (tokens, seqs)


@pytest.mark.parametrize(
    ("version", "utilization", "is_async", "reserves", "budget_of_a100"),
    [
        ("0.8.5", 0.9, False, False, 8192),
        ("0.9.0", 0.9, False, False, 2048),
        ("v0.14.0", 0.9, True, False, 2048),
        ("0.19.1", 0.9, True, True, 2048),
        ("0.21.0", 0.92, True, True, 2048),
        ("0.33.0", 0.92, True, True, 2048),
        ("unknown", 0.9, False, False, 8192),
    ],
)
def test_defaults_follow_the_version(version, utilization, is_async, reserves, budget_of_a100):
    usual = vllm_defaults("NVIDIA A100-SXM4-80GB", 79.3, version)
    assert usual[:2] == (utilization, budget_of_a100)
    assert (usual.async_scheduling, usual.scheduler_reserve_full_isl) == (is_async, reserves)
    profile = plain_profile().model_copy(update={"vllm_version": version})
    limits = Server(kv_cache_tokens=50_000).limits(profile)
    assert (limits.async_scheduling, limits.reserve_whole_prompt) == (is_async, reserves)
    given = Server(kv_cache_tokens=50_000, async_scheduling=False, scheduler_reserve_full_isl=False).limits(profile)
    assert (given.async_scheduling, given.reserve_whole_prompt) == (False, False)


def test_the_law_of_memory_gives_the_blocks_without_the_null_block():
    # 10e9 x 0.9 - 5e9 - 1e9 - 4 slots x (1e6 + 16 x 1e6) = 2.932e9 bytes; / 1e5 / 16 = 1,832 blocks.
    limits = Server(max_loras=4, max_lora_rank=16).limits(plain_profile())
    assert limits.kv_blocks == 1831
    assert Server(max_loras=4, kv_cache_tokens=4096).limits(plain_profile()).kv_blocks == 255


def test_host_memory_holds_as_many_adapters_as_there_are_slots_unless_said_otherwise():
    assert Server(max_loras=3).limits(plain_profile()).max_cpu_loras == 3
    assert Server(max_loras=3, max_cpu_loras=9).limits(plain_profile()).max_cpu_loras == 9


def test_the_watermark_is_a_share_of_the_blocks():
    assert Server(watermark=0.01, kv_cache_tokens=16_016).limits(plain_profile()).watermark_blocks == 10


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"max_lora_rank": 12}, "12 is not one of 1, 8, 16, 32, 64, 128, 256, 320, 512"),
        ({"max_loras": 4, "max_cpu_loras": 3}, "max_cpu_loras 3 is below max_loras 4"),
        ({"max_loras": -1}, "-1 must be at least 0"),
        ({"watermark": 1.0}, "1.0 must be below 1"),
        ({"max_num_seqs": 0}, "0 must be at least 1"),
    ],
)
def test_settings_that_vllm_refuses_are_refused(fields, complaint):
    with pytest.raises(SpecError, match=complaint):
        Server(**fields)


def test_a_step_must_have_room_for_one_token_of_every_request():
    with pytest.raises(SpecError, match="512 is below max_num_seqs 600"):
        Server(max_num_seqs=600, max_num_batched_tokens=512).limits(plain_profile())


@pytest.mark.parametrize(
    ("server", "numbers"),
    [
        # 160 x 17e6 bytes leave 0.28e9: 2,800 tokens, fewer than one request of 4,096.
        (Server(max_loras=160, max_lora_rank=16), ["max_loras 160", "max_lora_rank 16", "2,800", "4,096"]),
        (Server(max_loras=200, max_lora_rank=16), ["max_loras 200", "no memory is left"]),
        (Server(kv_cache_tokens=2000), ["2,000", "4,096"]),
    ],
)
def test_too_little_memory_is_said_with_the_numbers(server, numbers):
    with pytest.raises(OutOfMemory) as error:
        simulate(plain_profile(), server, Workload([]))
    assert all(number in str(error.value) for number in [*numbers, "plain"])


def test_a_cache_of_nothing_but_the_null_block_is_too_small():
    with pytest.raises(OutOfMemory):
        simulate(plain_profile(), Server(kv_cache_tokens=16, max_model_len=16), Workload([]))


def test_a_shorter_max_model_len_lets_the_server_start():
    assert Server(max_loras=160, max_lora_rank=16, max_model_len=2800).limits(plain_profile()).kv_blocks == 174


def test_an_adapter_above_max_lora_rank_is_refused_by_name():
    workload = Workload([Adapter("small", 8, 1.0), Adapter("large", 32, 1.0)])
    with pytest.raises(SpecError, match=r"Server\.max_lora_rank: 16 is below the rank 32 of adapter 'large'"):
        simulate(plain_profile(), Server(max_loras=2, max_lora_rank=16), workload)


def test_a_server_without_slots_refuses_adapters():
    with pytest.raises(SpecError, match=r"Server\.max_loras: 0 slots, but adapter 'a' needs one"):
        simulate(plain_profile(), Server(max_loras=0), Workload([Adapter("a", 8, 1.0)]))


def test_the_measured_gpu_is_one_of_the_smaller_ones():
    limits = Server(max_loras=1, max_model_len=2048).limits(load_profile("h100-64gb-llama-3.1-8b-instruct"))
    assert (limits.token_budget, limits.max_num_seqs) == (2048, 256)


def test_the_lowest_rank_of_slots_depends_on_the_version_of_vllm(h100):
    new = h100.model_copy(update={"vllm_version": "0.11.1"})
    assert (server_rank(1, h100), server_rank(1, new), server_rank(12, h100)) == (8, 1, 16)
    assert Server(max_loras=1, max_lora_rank=1).starts_on(new)
    assert Server(max_loras=0, max_lora_rank=1).starts_on(h100)  # without slots, their rank does not matter
    with pytest.raises(SpecError, match=r"Server\.max_lora_rank: 1 is not one of 8, 16, .*, which vLLM 0\.8\.5 serves"):
        Server(max_loras=1, max_lora_rank=1).limits(h100)


def test_an_adapter_of_any_rank_takes_a_padded_slot_and_loads_by_its_own_rank(h100, fleet):
    cost = h100.load_cost.model_copy(update={"gpu_base": 0.01, "gpu_per_rank": 0.001, "gpu_per_padding": 0.0001})
    profile = h100.model_copy(update={"load_cost": cost})
    server = Server(max_loras=1, max_lora_rank=16)
    scenario = make_scenario(profile, server, fleet(("a", 12, 1.0), ("b", 16, 1.0)), seed=0)
    assert scenario.adapters.gpu_load.tolist() == [22_400_000, 26_000_000]  # 10 + 12 + 4 x 0.1 ms, and 10 + 16 ms


def test_slots_hold_the_modules_that_adapters_may_change():
    profile, slots = plain_profile(), {"max_loras": 8, "max_lora_rank": 64}
    some = ("qkv_proj", "down_proj")
    share = slot_share(profile.model, 1, fully_sharded_loras=False, modules=some)
    assert 0 < share < 1
    every, those = Server(**slots), Server(**slots, lora_target_modules=some)
    saved = 8 * 64 * (1 - share) * profile.memory.slot_bytes_per_rank / profile.memory.kv_bytes_per_token
    assert those.kv_tokens_on(profile) - every.kv_tokens_on(profile) == pytest.approx(saved, abs=16)
    part = Server(**slots, lora_target_modules=("k_proj", "down_proj"))  # k is merged with q and v
    assert part.kv_tokens_on(profile) == those.kv_tokens_on(profile)
    with pytest.raises(SpecError, match=r"lora_target_modules: 'q' is not one of q_proj, k_proj"):
        Server(lora_target_modules=("q",))


def test_an_adapter_that_changes_other_modules_is_refused():
    server = Server(max_loras=1, lora_target_modules=("qkv_proj",))
    fits, not_so = (Adapter("a", 8, 1.0, target_modules=modules) for modules in (("q_proj",), ("q_proj", "o_proj")))
    server.require_serves(Workload([fits]))
    with pytest.raises(SpecError, match=r"Server\.lora_target_modules: o_proj of adapter 'a' would not be applied"):
        server.require_serves(Workload([not_so]))


def test_fewer_modules_and_a_grid_as_needed_make_shorter_steps():
    profile = load_profile("h100-64gb-llama-3.1-8b-instruct")
    work = Workload([Adapter("a", 8, 1.0)], duration=60.0)
    itl = [
        simulate(profile, Server(max_loras=64, max_lora_rank=16, **more), work).itl.mean
        for more in ({}, {"lora_target_modules": ("q_proj", "v_proj")}, {"specialize_active_lora": True})
    ]
    assert itl[1] < 0.95 * itl[0]
    assert itl[2] < 0.95 * itl[0]
