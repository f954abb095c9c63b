"""LoraKernels: what is launched for the adapters of a model, counted by hand from vLLM's kernels."""

import pytest

from adaptwin import load_profile
from adaptwin.profile.lora_kernels import lora_kernels
from adaptwin.profile.memory import MemoryModel
from adaptwin.profile.model_shape import LINEAR
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
    assert all(count > 0 for count in lora_kernels(LLAMA, NEW, [module]))


def test_current_versions_have_narrower_blocks_for_merged_layers_and_none_without_adapters():
    kernels = lora_kernels(LLAMA, NEW)
    assert kernels.expand_blocks == 32 * (3 * 64 + 32 + 2 * 224 + 32)
    assert kernels.skip_base_only
