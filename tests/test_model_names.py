"""Names of base models: which of them mean the same model."""

import pytest

from adaptwin.model_names import differs, model_key, same_shapes, same_weights

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (LLAMA, "llama3.1-8b"),
        ("meta-llama/Meta-Llama-3.1-8B", "llama3.1-8b"),
        ("unsloth/llama-3.1-8b-instruct-bnb-4bit", "llama3.1-8b"),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8-dynamic", "llama3.1-8b"),
        ("meta-llama/Llama-2-7b-hf", "llama2-7b"),
        ("google/gemma-2-9b-it", "gemma2-9b"),
        ("Qwen/Qwen2.5-VL-3B-Instruct", "qwen2.5-vl3b"),
        ("qwen-2.5_7b", "qwen2.5-7b"),
        ("/srv/models/Llama-3.1-8B-Instruct/", "llama3.1-8b"),
        ("C:\\models\\Qwen3-8B-Base", "qwen3-8b"),
    ],
)
def test_variants_of_a_model_share_their_key(name, key):
    assert model_key(name) == key


@pytest.mark.parametrize(
    ("base", "differ"),
    [
        (None, False),
        ("meta-llama/Meta-Llama-3.1-8B", False),
        ("/models/llama", False),
        ("../base", False),
        ("s3://bucket/base", False),
        ("C:\\base", False),
        ("meta-llama/Llama-3-8B-Instruct", True),
        ("meta-llama/Llama-3.1-70B-Instruct", True),
        ("mistralai/Mistral-7B-v0.1", True),
    ],
)
def test_an_adapter_of_another_model_differs_unless_its_base_is_not_known(base, differ):
    assert differs(base, LLAMA) is differ


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("neuralmagic/Meta-Llama-3.1-8B-Instruct-FP8", True),
        ("unsloth/llama-3.1-8b-instruct-bnb-4bit", True),
        ("hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4", True),
        ("meta-llama/Llama-3.1-8B", False),
        ("unsloth/Llama-3.1-8B-bnb-4bit", False),
    ],
)
def test_copies_in_other_precisions_have_the_same_weights_and_tuned_ones_have_not(name, weights):
    assert same_shapes(name, LLAMA)
    assert same_weights(name, LLAMA) is weights
