"""Sharding: what each GPU of a group holds, worked out by hand for a tiny model, and what vLLM refuses."""

import pytest

from adaptwin import Server, SpecError, load_profile
from adaptwin.profile.memory import GIB, USUAL_ACTIVATION, USUAL_EXCHANGE, MemoryModel
from adaptwin.profile.model_shape import ModelShape
from adaptwin.profile.profile import shipped_profiles
from adaptwin.profile.sharding import part_of_one_gpu, slot_bytes_per_rank, slot_share
from adaptwin.twin.step_coefficients import step_coefficients

TINY = ModelShape(
    name="tiny", hidden=8, layers=2, heads=4, kv_heads=2, head_dim=2, intermediate=16, vocabulary=11, max_model_len=16
)
H100 = load_profile(shipped_profiles()[0])


def test_two_gpus_hold_half_of_every_layer():
    """The embedding and the output matrix have 11 tokens: one GPU holds six."""
    part = part_of_one_gpu(TINY, 2)
    assert part.linear_weights == TINY.linear_weights / 2
    assert part.weights_bytes == TINY.linear_bytes / 2 + 2 * 2 * 6 * 8
    assert part.kv_bytes_per_token == TINY.kv_bytes_per_token / 2
    assert part_of_one_gpu(TINY, 1) is TINY


def test_four_gpus_share_two_heads_of_keys_and_values():
    part = part_of_one_gpu(TINY, 4)
    assert (part.heads, part.kv_heads) == (1, 1)
    assert part.kv_bytes_per_token == TINY.kv_bytes_per_token / 2


@pytest.mark.parametrize("gpus", [3, 8])
def test_a_group_that_does_not_divide_the_heads_is_refused(gpus):
    with pytest.raises(SpecError, match=f"tensor_parallel_size: {gpus} does not divide the 4 attention heads of tiny"):
        part_of_one_gpu(TINY, gpus)


def test_heads_of_keys_that_neither_divide_nor_are_multiples_are_refused():
    odd = TINY.model_copy(update={"heads": 12, "kv_heads": 6})
    with pytest.raises(SpecError, match="4 neither divides nor is a multiple of 6 heads of keys and values"):
        part_of_one_gpu(odd, 4)


def test_a_slot_is_cut_on_one_side_of_each_layer_or_on_both():
    """Inputs and outputs of a layer: q 8, 8; k and v 8, 4; o 8, 8; gate and up 8, 16; down 16, 8; two bytes, 2 layers.

    On two GPUs, q, k, v, gate and up keep their inputs (8 each) and halve their outputs, o and down the other way.
    """
    whole = 2 * 2 * (16 + 12 + 12 + 16 + 24 + 24 + 24)
    assert slot_bytes_per_rank(TINY) == whole == TINY.adapter_bytes_per_rank
    cut = 2 * 2 * ((8 + 4) + 2 * (8 + 2) + (4 + 8) + 2 * (8 + 8) + (8 + 8))
    assert slot_bytes_per_rank(TINY, 2) == cut
    assert slot_bytes_per_rank(TINY, 2, fully_sharded_loras=True) == whole / 2
    assert slot_share(TINY, 2, fully_sharded_loras=True, modules=None) == (whole / 2) / cut
    assert slot_share(TINY, 2, fully_sharded_loras=False, modules=None) == 1
    some = 2 * 2 * ((8 + 4) + 2 * (8 + 2))
    assert slot_share(TINY, 2, fully_sharded_loras=False, modules=("q_proj",)) == some / cut  # merged with k and v


def test_embeddings_have_whole_slots_on_every_gpu():
    both = TINY.model_copy(update={"lora_embeddings": True})
    embeddings = 2 * 2 * (11 + 8)
    for gpus in (1, 2, 4):
        assert slot_bytes_per_rank(both, gpus) == slot_bytes_per_rank(TINY, gpus) + embeddings


def test_slots_of_experts_are_one_of_each_expert_where_vllm_serves_them():
    moe = TINY.model_copy(update={"experts": 4, "active_experts": 2})
    attention, mlp = 2 * 2 * (16 + 12 + 12 + 16), 2 * 2 * (24 + 24 + 24)
    assert slot_bytes_per_rank(moe) == attention
    assert slot_bytes_per_rank(moe.model_copy(update={"lora_experts": True})) == attention + 4 * mlp


def test_the_memory_of_a_group_is_that_of_each_of_its_gpus():
    memory = MemoryModel.from_shapes(TINY, GIB, "0.8.5", 2)
    assert memory.weights_bytes == part_of_one_gpu(TINY, 2).weights_bytes
    assert memory.activation_bytes == USUAL_ACTIVATION + USUAL_EXCHANGE
    assert memory.activation_bytes_per_token == 2 * (3 * 8 + 2 * 8)
    assert memory.activation_bytes_per_seq == 4 * 4 * 11  # every GPU gathers the logits of all tokens
    assert memory.slot_bytes_per_rank == slot_bytes_per_rank(TINY, 2)


def test_fully_sharded_loras_leave_more_kv_cache_and_have_no_effect_on_one_gpu():
    group = H100.model_copy(update={"tensor_parallel_size": 2})
    usual, sharded = (Server(max_loras=16, max_lora_rank=64, fully_sharded_loras=on) for on in (False, True))
    assert sharded.kv_tokens_on(group) > usual.kv_tokens_on(group)
    assert sharded.kv_tokens_on(H100) == usual.kv_tokens_on(H100)
    assert step_coefficients(H100, sharded) == step_coefficients(H100, usual)
