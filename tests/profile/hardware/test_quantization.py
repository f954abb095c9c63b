"""Quantization: widths, kernels and notes by method and by published configurations, with widths worked out by hand."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptwin.errors import SpecError
from adaptwin.profile.hardware.model_config import read_model
from adaptwin.profile.hardware.quantization import (
    QUANTIZATIONS,
    quantised,
    quantization_by_name,
    quantization_in,
    quantization_named,
    require_whole_blocks,
)
from adaptwin.profile.model_shape import ModelShape
from adaptwin.profile.sharding import part_of_one_gpu

SAMPLES = Path(__file__).resolve().parents[4] / "shared" / "schemas" / "samples" / "hf_quantised"
needs_samples = pytest.mark.skipif(not SAMPLES.exists(), reason=f"{SAMPLES} does not exist")

# By hand: 4 bits, and a scale of 16 bits (with zero points 4 bits more) for each 128 weights.
AWQ, GPTQ = 0.5 + 2.5 / 128, 0.5 + 2 / 128
BLOCKS = {
    "block-awq-modules_to_not_convert": ("awq", AWQ, "weights only", False, 1),
    "block-awq": ("awq", AWQ, "weights only", True, 0),
    "block-compressed-tensors-fp8-dynamic": ("fp8", 1.0, "fp8", True, 0),
    "block-compressed-tensors-nvfp4": ("nvfp4", 0.5 + 1 / 16, "fp4", True, 0),
    "block-compressed-tensors-w4a16-pack-quantized": ("gptq", GPTQ, "weights only", True, 0),
    "block-gptq-short": ("gptq", GPTQ, "weights only", True, 0),
    "block-gptq": ("gptq", GPTQ, "weights only", True, 0),
}
TINY = ModelShape(
    name="tiny", hidden=4, layers=2, heads=2, kv_heads=1, head_dim=2, intermediate=8, vocabulary=10, max_model_len=16
)


@needs_samples
@pytest.mark.parametrize("sample", sorted(path.stem for path in SAMPLES.glob("block-*.json")))
def test_a_published_block_is_read(sample):
    block = json.loads((SAMPLES / f"{sample}.json").read_text())["quantization_config"]
    found = quantization_in(block, "quantization_config")
    method, width, kernel, attention, notes = BLOCKS[sample]
    assert (found.method, found.kernel, found.attention) == (method, kernel, attention)
    assert found.bytes_per_weight == pytest.approx(width)
    assert len(found.notes) == notes


@needs_samples
def test_the_file_of_modelopt_is_read_beside_a_configuration_that_says_nothing():
    sheet = read_model(SAMPLES / "nvidia-Llama-3.1-70B-Instruct-FP8.json")
    assert (sheet.quantization.method, sheet.quantization.fp8_cache) == ("fp8", True)
    assert sheet.shape.bytes_per_weight == 1


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"quant_method": "aqlm"}, "quantization_config.quant_method: 'aqlm' is not one of fp8, "),
        ({}, "quantization_config.quant_method: '' is not one of fp8, "),
        ({"quant_method": "awq", "bits": 3}, "quantization_config.bits: 3 is not one of 4, 8"),
        ({"quant_method": "gptq", "bits": True}, "quantization_config.bits: True is not one of 4, 8"),
        ({"quant_method": "awq", "bits": 4, "group_size": 0}, "quantization_config.group_size: 0 is not a positive "),
        ({"quant_method": "compressed-tensors"}, "quantization_config.config_groups: missing"),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 2}}}},
            "quantization_config.config_groups.group_0.weights.num_bits: 2 bits of type 'int' are not described",
        ),
        ({"quant_method": "modelopt", "quant_algo": "W8A8_SQ"}, "quantization_config.quant_algo: 'W8A8_SQ' is not "),
    ],
)
def test_what_is_not_described_is_refused_with_its_field(block, message):
    with pytest.raises(SpecError) as error:
        quantization_in(block, "quantization_config")
    assert str(error.value).startswith(message)


def test_weights_in_8_bits_by_bitsandbytes_and_a_group_of_a_whole_row():
    eight = quantization_in({"quant_method": "bitsandbytes", "load_in_8bit": True}, "q")
    assert (eight.bytes_per_weight, eight.kernel) == (1.0, "dequantised first")
    assert quantization_in({"quant_method": "bitsandbytes"}, "q") is None
    row = quantization_in({"quant_method": "gptq", "bits": 8, "group_size": -1}, "q")
    assert row.bytes_per_weight == pytest.approx(1.0, abs=1e-5)


def test_attention_that_stays_in_16_bits_keeps_its_bytes():
    """A layer of the tiny model has 16 + 8 + 8 + 16 weights of attention and 96 of the MLP."""
    half = quantised(TINY, quantization_named("fp8")._replace(attention=False))
    assert half.linear_bytes == pytest.approx(2 * (2 * 48 + 96))
    moe = quantised(TINY.model_copy(update={"experts": 4, "active_experts": 1}), quantization_named("mxfp4"))
    assert moe.bytes_per_expert_weight == 0.5 + 1 / 32
    assert moe.expert_bytes == pytest.approx(2 * 4 * 96 * (0.5 + 1 / 32))


@pytest.mark.parametrize("method", QUANTIZATIONS)
def test_every_method_by_name_takes_fewer_bytes_than_16_bits(method):
    found = quantization_named(method)
    assert found.method == method
    assert 0.5 < found.bytes_per_weight <= 1


def test_a_name_says_its_method_or_that_it_is_not_known():
    assert quantization_by_name("meta-llama/Llama-3.1-8B") is None
    assert quantization_by_name("org/Llama-3.1-8B-quantized.w8a8").method == "int8"
    with pytest.raises(SpecError, match=r"fewer than 16 bits \(8bit\): say which with quantization: fp8, "):
        quantization_by_name("org/Llama-3.1-8B-8bit")


def test_a_copy_of_a_shipped_model_is_known_by_its_name():
    sheet = read_model("neuralmagic/Meta-Llama-3.1-8B-Instruct-FP8")
    assert sheet.shape.name == "neuralmagic/Meta-Llama-3.1-8B-Instruct-FP8"
    assert sheet.shape.linear_bytes == read_model("meta-llama/Llama-3.1-8B-Instruct").shape.linear_bytes / 2
    with pytest.raises(SpecError, match=r"quantization: 'awq': the weights of .* are stored as FP8"):
        read_model(_stored_in_fp8(), quantization="awq")


def _stored_in_fp8() -> Path:
    if not SAMPLES.exists():
        pytest.skip(f"{SAMPLES} does not exist")
    return SAMPLES / "Qwen3-32B-FP8.json"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.just("compressed-tensors"),
        lambda values: (
            st.lists(values, max_size=2)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "quant_method",
                        "bits",
                        "group_size",
                        "config_groups",
                        "weights",
                        "num_bits",
                        "quant_algo",
                        "ignore",
                    ]
                ),
                values,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
def test_any_block_is_read_or_refused(block):
    if not isinstance(block, dict):
        return
    try:
        found = quantization_in(block, "q")
    except SpecError as error:
        assert error.field.startswith("q")  # noqa: PT017
    else:
        assert found is None or found.bytes_per_weight > 0


@pytest.mark.parametrize(
    ("name", "method", "width"),
    [
        ("org/Llama-3.1-8B-Instruct-quantized.w8a16", "gptq", 1 + 2 / 128),
        ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int8", "gptq", 1 + 2 / 128),
        ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", "gptq", GPTQ),
        ("unsloth/Llama-3.1-8B-bnb-8bit", "bitsandbytes", 1.0),
        ("unsloth/Llama-3.1-8B-bnb-4bit", "bitsandbytes", 0.5 + 2 / 64),
        ("org/Llama-3.1-8B-Int8", "int8", 1.0),
    ],
)
def test_a_name_says_the_bits_of_a_method_with_several(name, method, width):
    found = quantization_by_name(name)
    assert (found.method, found.bytes_per_weight) == (method, pytest.approx(width))


@pytest.mark.parametrize("asked", ["fp8", "gptq"])
def test_an_option_that_the_name_contradicts_is_refused(asked):
    with pytest.raises(SpecError, match=f"quantization: '{asked}': the weights of .*-AWQ' are stored as AWQ"):
        read_model("org/Llama-3.1-8B-Instruct-AWQ", quantization=asked)


def test_weights_alone_in_few_bits_are_multiplied_in_16_bits():
    weights = {"num_bits": 8, "type": "float", "strategy": "channel"}
    block = {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": weights}}}
    assert quantization_in(block, "q").kernel == "weights only"


@pytest.mark.parametrize(
    ("ignored", "attention"),
    [
        (["re:.*self_attn.k_proj"], True),
        (["vision_tower.self_attn"], True),
        (["re:.*self_attn.*"], False),
        (["model.layers.*.self_attn"], False),
        ([f"re:.*self_attn.{name}_proj" for name in "qkvo"], False),
    ],
)
def test_attention_stays_in_16_bits_where_all_of_it_is_named(ignored, attention):
    assert quantization_in({"quant_method": "fp8", "ignored_layers": ignored}, "q").attention == attention


def test_a_group_must_leave_whole_blocks_to_each_gpu():
    """Of Qwen2.5-72B, 8 GPUs hold 3,696 of 29,568 columns of the MLP: 28.9 groups of 128."""
    part = part_of_one_gpu(read_model("Qwen2.5-72B").shape, 8)
    with pytest.raises(SpecError, match="tensor_parallel_size: 8 leaves each GPU 3696 of the width of the MLP"):
        require_whole_blocks(part, quantization_named("awq"), 8)
    require_whole_blocks(part, quantization_named("fp8"), 8)
