"""MemoryModel: how the GPU's memory is used, worked out by hand and as a law."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import OutOfMemory, load_profile
from adaptwin.profile.memory import GIB, MemoryModel
from adaptwin.profile.model_shape import ModelShape

ROUND = MemoryModel(
    gpu_bytes=10e9,
    weights_bytes=5e9,
    activation_bytes=1e9,
    kv_bytes_per_token=1e5,
    slot_bytes=1e6,
    slot_bytes_per_rank=1e6,
)

USUAL = {"max_num_seqs": 256, "max_num_batched_tokens": 2048, "gpu_memory_utilization": 0.9}

MEMORIES = st.sampled_from(
    [ROUND, *(load_profile(f"h100-64gb-{model}-instruct").memory for model in ("llama-3.1-8b", "qwen-2.5-7b"))]
)


@pytest.mark.parametrize(
    ("slots", "rank", "utilization", "tokens"),
    [
        (0, 16, 0.9, 30_000),  # 10e9 x 0.9 - 5e9 - 1e9 = 3e9
        (4, 16, 0.9, 29_312),  # less 4 x 17e6: 29,320 tokens are 1,832 whole blocks
        (4, 8, 0.9, 29_632),  # less 4 x 9e6: 29,640 tokens are 1,852 whole blocks
        (4, 16, 0.5, 0),  # nothing left
        (200, 16, 0.9, 0),
    ],
)
def test_the_kv_cache_is_what_weights_activations_and_slots_leave(slots, rank, utilization, tokens):
    settings_ = {**USUAL, "gpu_memory_utilization": utilization}
    assert ROUND.kv_cache_tokens(max_loras=slots, max_lora_rank=rank, **settings_) == tokens


@pytest.mark.parametrize(
    ("seqs", "budget", "tokens"),
    [
        (100, 2048, 28_976),  # 2,048 x 5e4 = 1.02e8 are more than 100 x 1e6 = 1e8: 3e9 less 1.02e8, in whole blocks
        (256, 2048, 27_440),  # 256 x 1e6
        (4096, 2048, 9_520),  # no more are sampled than there are tokens: 2,048 x 1e6
    ],
)
def test_the_profiling_step_takes_memory_by_token_or_by_request(seqs, budget, tokens):
    law = ROUND.model_copy(update={"activation_bytes_per_token": 5e4, "activation_bytes_per_seq": 1e6})
    given = {"max_num_seqs": seqs, "max_num_batched_tokens": budget, "gpu_memory_utilization": 0.9}
    assert law.kv_cache_tokens(max_loras=0, max_lora_rank=8, **given) == tokens


def test_cuda_graphs_count_from_the_version_that_counts_them():
    shape, budget = load_profile("h100-64gb-llama-3.1-8b-instruct").model, 80 * GIB
    before, after = (MemoryModel.from_shapes(shape, budget, version) for version in ("0.20.2", "0.21.0"))
    assert (before.graph_bytes, after.graph_bytes) == (0.0, 0.63 * GIB)
    tokens = [law.kv_cache_tokens(max_loras=1, max_lora_rank=16, **USUAL) for law in (before, after)]
    assert tokens[0] - tokens[1] == pytest.approx(0.63 * GIB / shape.kv_bytes_per_token, abs=16)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    memory=MEMORIES,
    slots=st.integers(0, 500),
    more=st.integers(0, 100),
    rank=st.sampled_from([8, 16, 32, 64]),
    block_size=st.sampled_from([1, 8, 16, 32]),
)
def test_more_slots_or_a_higher_rank_never_leave_more_kv_cache(memory, slots, more, rank, block_size):
    def tokens_with(slots, rank):
        return memory.kv_cache_tokens(max_loras=slots, max_lora_rank=rank, block_size=block_size, **USUAL)

    tokens = tokens_with(slots, rank)
    assert tokens % block_size == 0
    assert tokens_with(slots + more, rank) <= tokens
    assert tokens_with(slots, 2 * rank) <= tokens


def test_one_request_of_full_length_must_fit():
    ROUND.require_startable(4096, max_model_len=4096, block_size=16, what="it")
    with pytest.raises(OutOfMemory, match=r"it: the KV cache holds 4,080 tokens, .* max_model_len 4,096"):
        ROUND.require_startable(4080, max_model_len=4096, block_size=16, what="it")
    with pytest.raises(OutOfMemory, match="it: no memory is left for the KV cache"):
        ROUND.require_startable(0, max_model_len=1, block_size=16, what="it")


def test_memory_from_shapes_is_marked_as_an_estimate():
    """One layer of width 4 with two heads of two, one of them for keys and values, and an MLP of width 8."""
    shape = ModelShape(
        name="tiny",
        hidden=4,
        layers=1,
        heads=2,
        kv_heads=1,
        head_dim=2,
        intermediate=8,
        vocabulary=10,
        max_model_len=16,
    )
    memory = MemoryModel.from_shapes(shape, gpu_bytes=GIB)
    assert memory.estimated
    # q 4x4, k and v 4x2, o 4x4, gate, up and down 4x8; embedding and output 10x4; two bytes each.
    assert memory.weights_bytes == 2 * (16 + 8 + 8 + 16 + 3 * 32 + 2 * 40)
    assert memory.kv_bytes_per_token == 2 * 2 * 2
    assert memory.slot_bytes_per_rank == 2 * (8 + 6 + 6 + 8 + 3 * 12)
    assert (memory.slot_bytes, memory.gpu_bytes) == (0.0, GIB)
    # Inputs and outputs of the MLP, 2 bytes each; four copies of the logits in 32 bits.
    assert memory.activation_bytes_per_token == 2 * (3 * 8 + 2 * 4)
    assert memory.activation_bytes_per_seq == 4 * 4 * 10


def test_weights_values_and_the_kv_cache_have_widths_of_their_own():
    fields = {
        "name": "tiny", "hidden": 4, "layers": 1, "heads": 2, "kv_heads": 1, "head_dim": 2, "intermediate": 8,
        "vocabulary": 10, "max_model_len": 16,
    }  # fmt: skip
    awq = ModelShape(**fields, bytes_per_weight=0.53, bytes_per_kv_value=1)
    assert awq.weights_bytes == pytest.approx(0.53 * (16 + 8 + 8 + 16 + 3 * 32) + 2 * 2 * 40)
    assert awq.kv_bytes_per_token == 2 * 2
    assert awq.adapter_bytes_per_rank == 2 * (8 + 6 + 6 + 8 + 3 * 12)


def test_tied_embeddings_are_stored_once():
    fields = {
        "name": "tiny", "hidden": 4, "layers": 1, "heads": 2, "kv_heads": 1, "head_dim": 2, "intermediate": 8,
        "vocabulary": 10, "max_model_len": 16,
    }  # fmt: skip
    saved = ModelShape(**fields).weights_bytes - ModelShape(**fields, tied_embeddings=True).weights_bytes
    assert saved == 2 * 40


def test_the_estimate_for_a_measured_model_is_close_to_the_measurement():
    """Llama-3.1-8B with 32 slots of rank 16 on the 64 GB H100 and 2,048 requests: 284,176 tokens were measured."""
    profile = load_profile("h100-64gb-llama-3.1-8b-instruct")
    estimate = MemoryModel.from_shapes(profile.model, profile.memory.gpu_bytes)
    found = estimate.kv_cache_tokens(max_loras=32, max_lora_rank=16, **{**USUAL, "max_num_seqs": 2048})
    assert found == pytest.approx(284_176, rel=0.02)
