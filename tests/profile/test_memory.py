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
    assert ROUND.kv_cache_tokens(max_loras=slots, max_lora_rank=rank, gpu_memory_utilization=utilization) == tokens


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    memory=MEMORIES,
    slots=st.integers(0, 500),
    more=st.integers(0, 100),
    rank=st.sampled_from([8, 16, 32, 64]),
    block_size=st.sampled_from([1, 8, 16, 32]),
)
def test_more_slots_or_a_higher_rank_never_leave_more_kv_cache(memory, slots, more, rank, block_size):
    tokens = memory.kv_cache_tokens(max_loras=slots, max_lora_rank=rank, block_size=block_size)
    assert tokens % block_size == 0
    assert memory.kv_cache_tokens(max_loras=slots + more, max_lora_rank=rank, block_size=block_size) <= tokens
    assert memory.kv_cache_tokens(max_loras=slots, max_lora_rank=2 * rank, block_size=block_size) <= tokens


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
    memory = MemoryModel.from_shapes(shape, gpu_bytes=GIB, activation_bytes=0.0)
    assert memory.estimated
    # q 4x4, k and v 4x2, o 4x4, gate, up and down 4x8; embedding and output 10x4; two bytes each.
    assert memory.weights_bytes == 2 * (16 + 8 + 8 + 16 + 3 * 32 + 2 * 40)
    assert memory.kv_bytes_per_token == 2 * 2 * 2
    assert memory.slot_bytes_per_rank == 2 * (8 + 6 + 6 + 8 + 3 * 12)
    assert (memory.slot_bytes, memory.gpu_bytes) == (0.0, GIB)


def test_tied_embeddings_are_stored_once():
    fields = {
        "name": "tiny", "hidden": 4, "layers": 1, "heads": 2, "kv_heads": 1, "head_dim": 2, "intermediate": 8,
        "vocabulary": 10, "max_model_len": 16,
    }  # fmt: skip
    saved = ModelShape(**fields).weights_bytes - ModelShape(**fields, tied_embeddings=True).weights_bytes
    assert saved == 2 * 40


def test_the_estimate_for_a_measured_model_is_close_to_the_measurement():
    """Llama-3.1-8B with 32 slots of rank 16 on the 64 GB H100: 284,176 tokens were measured."""
    profile = load_profile("h100-64gb-llama-3.1-8b-instruct")
    estimate = MemoryModel.from_shapes(profile.model, profile.memory.gpu_bytes)
    assert estimate.kv_cache_tokens(max_loras=32, max_lora_rank=16) == pytest.approx(284_176, rel=0.05)
