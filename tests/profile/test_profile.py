"""Profiles: shipped ones start the servers that started in reality, and errors in files are named."""

import pytest

from adaptwin import OutOfMemory, Server, SpecError, load_profile
from adaptwin.profile.profile import Profile, shipped_profiles

LLAMA, QWEN = "h100-64gb-llama-3.1-8b-instruct", "h100-64gb-qwen-2.5-7b-instruct"


def test_both_measured_models_are_shipped():
    assert {LLAMA, QWEN} <= set(shipped_profiles())


@pytest.mark.parametrize("name", shipped_profiles())
def test_a_shipped_profile_loads_and_has_its_own_name(name):
    profile = load_profile(name)
    assert profile.name == name
    assert not profile.memory.estimated
    assert profile.error is not None
    assert profile.source


@pytest.mark.parametrize("name", shipped_profiles())
def test_a_profile_reads_back_as_it_was_written(name, tmp_path):
    profile = load_profile(name)
    profile.write(tmp_path / "mine.yaml")
    assert load_profile(tmp_path / "mine.yaml") == load_profile(str(tmp_path / "mine.yaml")) == profile


def test_an_unknown_profile_names_the_shipped_ones():
    with pytest.raises(SpecError) as error:
        load_profile("h200-llama")
    assert all(name in str(error.value) for name in ["'h200-llama'", *shipped_profiles()])


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"mine\.yaml: no such file"):
        load_profile(tmp_path / "mine.yaml")


def test_a_negative_cost_is_refused_by_file_and_field(tmp_path):
    load_profile(LLAMA).write(tmp_path / "mine.yaml")
    lines = (tmp_path / "mine.yaml").read_text().replace("{gpu_base: ", "{gpu_base: -")
    (tmp_path / "mine.yaml").write_text(lines)
    with pytest.raises(SpecError, match=r"mine\.yaml: load_cost\.gpu_base: -0\.\d+ must be at least 0"):
        load_profile(tmp_path / "mine.yaml")


# Measured on real servers: "GPU KV cache size" from their logs, and the most slots with which they started.


@pytest.mark.parametrize(
    ("name", "slots", "rank", "tokens"),
    [
        (LLAMA, 8, 8, 305_104),
        (LLAMA, 64, 16, 256_640),
        (LLAMA, 96, 32, 168_064),
        (QWEN, 8, 8, 700_816),
        (QWEN, 128, 16, 526_992),
        (QWEN, 320, 16, 250_432),
    ],
)
def test_the_kv_cache_follows_the_law_of_the_measured_servers(name, slots, rank, tokens):
    server = Server(max_loras=slots, max_lora_rank=rank, max_num_seqs=2048)
    assert server.kv_tokens_on(load_profile(name)) == pytest.approx(tokens, rel=0.015)


@pytest.mark.parametrize(
    ("name", "slots", "rank", "starts"),
    [
        (LLAMA, 384, 8, True),  # measured: 154,240 tokens; one request may have 131,072
        (LLAMA, 512, 8, False),
        (LLAMA, 224, 16, True),  # measured: 138,272 tokens
        (LLAMA, 256, 16, False),
        (LLAMA, 96, 32, True),  # measured: 168,064 tokens
        (LLAMA, 128, 32, False),
        (QWEN, 384, 16, True),  # measured: 165,664 tokens; one request may have 32,768
        (QWEN, 224, 32, True),  # measured: 67,136 tokens
        (QWEN, 256, 32, False),  # no memory left for the KV cache
    ],
)
def test_servers_start_where_the_measured_ones_started(name, slots, rank, starts):
    server, profile = Server(max_loras=slots, max_lora_rank=rank, max_num_seqs=2048), load_profile(name)
    if starts:
        assert server.limits(profile).kv_blocks > 0
    else:
        with pytest.raises(OutOfMemory, match=f"max_loras {slots} at max_lora_rank {rank} on {name}"):
            server.limits(profile)


@pytest.mark.parametrize(("name", "kv_bytes"), [(LLAMA, 131_072), (QWEN, 57_344)])
def test_the_shapes_give_the_bytes_of_a_token_in_the_cache(name, kv_bytes):
    """Keys and values x layers x KV heads x head size x 2 bytes: 2 x 32 x 8 x 128 x 2 and 2 x 28 x 4 x 128 x 2."""
    profile = load_profile(name)
    assert profile.model.kv_bytes_per_token == profile.memory.kv_bytes_per_token == kv_bytes


@pytest.mark.parametrize(
    ("name", "by_hand", "measured"),
    [
        # Per layer q, k, v, o, gate, up, down: 2 x 8,192 + 2 x 5,120 + 3 x 18,432 = 81,920 inputs and outputs; 32
        # layers, and twice 128,256 + 4,096 for embedding and output matrix; 2 bytes each.
        (LLAMA, 2 * (32 * 81_920 + 2 * 132_352), 5.76e6),
        # 2 x 7,168 + 2 x 4,096 + 3 x 22,528 = 90,112; 28 layers.
        (QWEN, 2 * 28 * 90_112, 5.04e6),
    ],
)
def test_the_shapes_give_the_measured_bytes_of_a_slot_within_one_percent(name, by_hand, measured):
    profile = load_profile(name)
    assert profile.model.adapter_bytes_per_rank == by_hand == pytest.approx(measured, rel=0.01)
    assert profile.memory.slot_bytes_per_rank == pytest.approx(measured, rel=0.01)


@pytest.mark.parametrize(("name", "billions"), [(LLAMA, 8.03), (QWEN, 7.62)])
def test_the_shapes_give_the_weights_of_the_base_model(name, billions):
    model = load_profile(name).model
    assert model.weights_bytes / 2 == pytest.approx(billions * 1e9, rel=0.001)


@pytest.mark.parametrize("name", [LLAMA, QWEN])
def test_the_gpu_is_one_for_which_vllm_takes_its_smaller_budgets(name):
    assert 60 < load_profile(name).gpu_gib < 70


def test_a_profile_that_was_not_checked_has_no_error():
    fields = load_profile(LLAMA).file_form()
    del fields["error"]
    assert Profile.parse(fields).error is None
