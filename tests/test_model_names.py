"""Names of base models: which of them mean the same model."""

import pytest

from adaptwin.model_names import differs, model_key


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b"),
        ("meta-llama/Meta-Llama-3.1-8B", "llama-3.1-8b"),
        ("unsloth/llama-3.1-8b-instruct-bnb-4bit", "llama-3.1-8b"),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8-dynamic", "llama-3.1-8b"),
        ("meta-llama/Llama-2-7b-hf", "llama-2-7b"),
        ("google/gemma-2-9b-it", "gemma-2-9b"),
        ("Qwen/Qwen2.5-7B-Instruct", "qwen2.5-7b"),
        ("Qwen/Qwen2.5-VL-3B-Instruct", "qwen2.5-vl-3b"),
        ("/srv/models/Llama-3.1-8B-Instruct/", "llama-3.1-8b"),
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
        ("meta-llama/Llama-3-8B-Instruct", True),
        ("meta-llama/Llama-3.1-70B-Instruct", True),
        ("mistralai/Mistral-7B-v0.1", True),
    ],
)
def test_an_adapter_of_another_model_differs_unless_its_base_is_not_known(base, differ):
    assert differs(base, "meta-llama/Llama-3.1-8B-Instruct") is differ
