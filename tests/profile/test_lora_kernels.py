"""LoraKernels: what is launched for the adapters of a model, counted by hand from vLLM's kernels."""

import pytest

from adaptwin import load_profile
from adaptwin.profile.lora_kernels import lora_kernels
from adaptwin.profile.memory import MemoryModel
from adaptwin.profile.model_shape import ATTENTION, LINEAR
from adaptwin.profile.profile import shipped_profiles

LLAMA = load_profile(shipped_profiles()[0]).model.model_copy(update={"lora_embeddings": False})
OLD, NEW = (0, 8, 5), (0, 32, 0)


def test_llama_8b_on_vllm_0_8_5():
    kernels = lora_kernels(LLAMA, OLD)
    assert kernels.launches == 32 * 8  # shrink and expand for qkv, o, gate and up, down
    assert kernels.shrink_blocks == 32 * 7
    # blocks of 128 columns: q, k, v of 4,096 each, as wide as q; o of 4,096; gate and up of 14,336; down of 4,096
    assert kernels.expand_blocks == 32 * (3 * 32 + 32 + 2 * 112 + 32) == 32 * 384
    # inputs of 4,096, 4,096, 4,096 and 14,336; outputs of 4,096 + 2 x 1,024, 4,096, 2 x 14,336 and 4,096, read and
    # written
    assert kernels.bytes_per_token == 32 * 2 * (26_624 + 2 * 43_008)
    assert not kernels.skip_base_only


def test_the_bytes_of_an_adapter_are_those_of_its_memory():
    for name in shipped_profiles():
        model = load_profile(name).model.model_copy(update={"lora_embeddings": False})
        shapes = MemoryModel.from_shapes(model, 1e11)
        assert lora_kernels(model, OLD).bytes_per_rank == shapes.slot_bytes_per_rank


def test_a_merged_layer_is_launched_whole_for_one_of_its_modules():
    query = lora_kernels(LLAMA, OLD, ["q_proj"])
    assert (query.launches, query.shrink_blocks, query.expand_blocks) == (32 * 2, 32 * 3, 32 * 96)
    assert query.bytes_per_rank == 32 * 2 * (4096 + 4096)
    both = lora_kernels(LLAMA, OLD, ["q_proj", "down_proj"])
    assert (both.launches, both.shrink_blocks, both.expand_blocks) == (32 * 4, 32 * 4, 32 * 128)


@pytest.mark.parametrize("module", LINEAR)
def test_every_module_costs_something(module):
    assert all(count > 0 for count in lora_kernels(LLAMA, NEW, [module])._replace(more_exchanges=1.0))


def test_current_versions_have_narrower_blocks_for_merged_layers_and_none_without_adapters():
    kernels = lora_kernels(LLAMA, NEW)
    assert kernels.expand_blocks == 32 * (3 * 64 + 32 + 2 * 224 + 32)
    assert kernels.skip_base_only


def test_two_gpus_launch_half_the_blocks_of_layers_that_are_cut_by_outputs():
    """On each GPU, q has 2,048 columns, gate and up 7,168; o and down have all their 4,096, of half the sum."""
    kernels = lora_kernels(LLAMA, OLD, tensor_parallel_size=2)
    assert kernels.launches == 32 * 8
    assert kernels.expand_blocks == 32 * (3 * 16 + 32 + 2 * 56 + 32)
    assert kernels.bytes_per_token == 32 * 2 * (
        (4096 + 2048 + 4096 + 7168) + 2 * (2048 + 2 * 512 + 4096 + 2 * 7168 + 4096)
    )
    assert kernels.more_exchanges == 0


def test_fully_sharded_adapters_halve_both_matrices_and_exchange_between_them():
    usual, sharded = (lora_kernels(LLAMA, OLD, tensor_parallel_size=2, fully_sharded_loras=on) for on in (False, True))
    whole = lora_kernels(LLAMA, OLD)
    assert sharded.bytes_per_rank == whole.bytes_per_rank / 2 < usual.bytes_per_rank < whole.bytes_per_rank
    assert sharded.expand_blocks == whole.expand_blocks / 2
    assert sharded.more_exchanges == 32 * 4 / 65  # four LoRA layers; two all-reduces a layer and one of the embedding


def test_adapters_on_experts_pass_the_experts_of_a_token():
    moe = LLAMA.model_copy(update={"experts": 8, "active_experts": 2, "lora_experts": True})
    dense, experts = lora_kernels(LLAMA, NEW), lora_kernels(moe, NEW)
    assert experts.launches == dense.launches
    assert experts.shrink_blocks == 32 * (4 + 2 * 3)
    of_mlp = 32 * 2 * 3 * (4096 + 14_336)
    used = 1 - 0.75**16
    assert experts.bytes_per_rank == pytest.approx(dense.bytes_per_rank - of_mlp + 8 * used * of_mlp)
    assert lora_kernels(moe.model_copy(update={"lora_experts": False}), NEW) == lora_kernels(LLAMA, NEW, ATTENTION)
