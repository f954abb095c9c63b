"""PEFT: adapters from folders in the format in which PEFT saves them."""

import json

import pytest

from adaptwin import SpecError
from adaptwin.workload.sources.peft import adapters_from_peft, read_peft_folder


@pytest.fixture
def save(tmp_path):
    """Return a function that saves an adapter's configuration in a sub-folder, as PEFT does."""

    def save_config(place, **fields):
        folder = tmp_path / "adapters" / place
        folder.mkdir(parents=True, exist_ok=True)
        config = {"peft_type": "LORA", "r": 8, "target_modules": ["q_proj", "v_proj"], **fields}
        (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
        return tmp_path / "adapters"

    return save_config


def ranks(folder):
    return [adapter.rank for adapter in adapters_from_peft(folder, rate=1.0)]


def test_every_folder_with_a_configuration_is_an_adapter(save):
    save("sql/v2", r=16)
    root = save("chat", target_modules="all-linear")
    (root / "notes").mkdir()
    chat, sql = adapters_from_peft(root, rate=0.5)
    assert (chat.name, chat.rank, chat.rate, chat.target_modules) == ("chat", 8, 0.5, ("all-linear",))
    assert (sql.name, sql.rank, sql.rate, sql.target_modules) == ("v2", 16, 0.5, ("q_proj", "v_proj"))
    assert sql.artifact == str((root / "sql" / "v2").resolve())


def test_the_folder_itself_may_be_an_adapter(save):
    (adapter,) = adapters_from_peft(save("only") / "only", rate=1.0)
    assert adapter.name == "only"


def test_folders_of_the_same_name_take_their_paths(save):
    for place in ("a/final", "b/final", "c/best"):
        root = save(place)
    assert [adapter.name for adapter in adapters_from_peft(root, rate=1.0)] == ["a/final", "b/final", "best"]


def test_linked_folders_are_followed_and_loops_are_not(save, tmp_path):
    root = save("real")
    save("../elsewhere/linked")
    (root / "here").symlink_to(tmp_path / "elsewhere" / "linked", target_is_directory=True)
    (root / "real" / "up").symlink_to(root, target_is_directory=True)
    assert [adapter.name for adapter in adapters_from_peft(root, rate=1.0)] == ["here", "real"]


@pytest.mark.parametrize(("r", "served"), [(1, 1), (2, 8), (8, 8), (12, 16), (65, 128), (257, 320), (512, 512)])
def test_a_rank_is_padded_as_vllm_does(save, r, served):
    assert ranks(save("a", r=r)) == [served]


def test_the_highest_rank_of_the_pattern_counts(save):
    assert ranks(save("a", r=8, rank_pattern={"q_proj": 4, "layers.0.v_proj": 40})) == [64]
    assert ranks(save("a", r=16, rank_pattern={"q_proj": 8})) == [16]
    assert ranks(save("a", r=16, rank_pattern=None)) == [16]


def test_target_modules_may_be_absent(save):
    (adapter,) = adapters_from_peft(save("a", target_modules=None), rate=1.0)
    assert adapter.target_modules is None


def test_rates_by_name_take_precedence_over_the_rate_for_all(save):
    save("a")
    root = save("b")
    assert [a.rate for a in adapters_from_peft(root, rates={"a": 2.0, "b": 0.0})] == [2.0, 0.0]
    assert [a.rate for a in adapters_from_peft(root, rate=0.5, rates={"b": 3.0})] == [0.5, 3.0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "rate: no rate for 'a'"),
        ({"rates": {}}, "rate: no rate for 'a'"),
        ({"rates": {"a": 1.0, "b": 1.0}}, "rates: 'b' is not one of the adapters found: a"),
        ({"rate": -1.0}, "rate: -1.0 must be at least 0"),
        ({"rates": {"a": -1.0}}, "rate: -1.0 must be at least 0"),
    ],
)
def test_rates_that_do_not_fit_are_refused(save, given, message):
    with pytest.raises(SpecError, match=message):
        adapters_from_peft(save("a"), **given)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"r": 1024}, "r: 1024 must be a whole number from 1 to 512, the highest rank that vLLM serves"),
        ({"r": 0}, "r: 0 must be a whole number"),
        ({"r": "8"}, "r: '8' must be a whole number"),
        ({"r": True}, "r: True must be a whole number"),
        ({"rank_pattern": {"q_proj": 513}}, "rank_pattern.q_proj: 513 must be a whole number"),
        ({"rank_pattern": [16]}, "rank_pattern: [16] must be a mapping"),
        ({"target_modules": 3}, "target_modules: 3 must be a name or a list of names"),
        ({"target_modules": [3]}, "target_modules: [3] must be a name or a list of names"),
    ],
)
def test_a_configuration_vllm_cannot_serve_is_named_with_file_and_field(save, fields, message):
    with pytest.raises(SpecError) as caught:
        adapters_from_peft(save("a", **fields), rate=1.0)
    assert f"adapter_config.json: {message}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"peft_type": "LORA",\n "r": }', "adapter_config.json: line 2: not valid JSON"),
        ("[]", "adapter_config.json: expected a mapping of fields, found a list"),
        ('{"peft_type": "LORA"}', "adapter_config.json: r: missing"),
        ('{"r": 8}', "a (peft_type: missing must be 'LORA')"),
    ],
)
def test_a_broken_configuration_is_named(save, text, message):
    root = save("a")
    (root / "a" / "adapter_config.json").write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        adapters_from_peft(root, rate=1.0)
    assert message in str(caught.value)


def test_a_folder_without_adapters_is_refused(tmp_path):
    with pytest.raises(SpecError, match=r"no adapter_config\.json in this folder or below it"):
        adapters_from_peft(tmp_path, rate=1.0)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(SpecError, match="none: no such folder"):
        adapters_from_peft(tmp_path / "none", rate=1.0)


LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"use_dora": True}, "use_dora True: vLLM does not support DoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save lm_head: vLLM loads no saved modules"),
        ({"bias": "lora_only"}, "bias lora_only: vLLM loads no biases"),
        ({"lora_bias": True}, "lora_bias True: vLLM loads no biases"),
        ({"target_parameters": ["mlp.experts.down_proj"]}, "target_parameters mlp.experts.down_proj"),
        ({"trainable_token_indices": [1, 2]}, "trainable_token_indices 1, 2"),
        ({"task_type": "SEQ_CLS"}, "task_type SEQ_CLS: vLLM serves adapters of language models"),
        ({"target_modules": ["q_proj", "score"]}, "target_modules score: vLLM has no LoRA on these modules"),
        ({"peft_type": "IA3"}, "peft_type: 'IA3' must be 'LORA'"),
        ({"peft_type": None}, "peft_type: missing must be 'LORA'"),
        ({"base_model_name_or_path": "mistralai/Mistral-7B-v0.1"}, f"not {LLAMA}"),
    ],
)
def test_what_vllm_refuses_to_load_is_refused_or_left_out(save, fields, reason):
    save("good", base_model_name_or_path=LLAMA)
    save("fine", base_model_name_or_path=LLAMA)
    root = save("bad", **{"base_model_name_or_path": LLAMA, **fields})
    with pytest.raises(SpecError, match="vLLM cannot serve 1 of 3 adapters") as caught:
        read_peft_folder(root, rate=1.0)
    assert f"bad ({reason}" in str(caught.value) or reason in str(caught.value)
    found = read_peft_folder(root, rate=1.0, skip_unsupported=True)
    assert [adapter.name for adapter in found.adapters] == ["fine", "good"]
    assert list(found.skipped) == ["bad"]
    assert reason in found.skipped["bad"]


@pytest.mark.parametrize(
    "fields",
    [
        {"bias": "none", "use_dora": False, "modules_to_save": None, "lora_bias": False},
        {"use_rslora": True},
        {"task_type": "CAUSAL_LM"},
        {"target_modules": "all-linear"},
        {"target_modules": ["model.layers.3.self_attn.q_proj", "lm_head", "embed_tokens"]},
        {"target_modules": ".*language_model.*"},
        {"layers_to_transform": [1, 2]},
        {"base_model_name_or_path": "unsloth/Llama-3.1-8B-bnb-4bit"},
        {"base_model_name_or_path": "/models/llama"},
        {"base_model_name_or_path": None},
    ],
)
def test_what_vllm_loads_is_accepted(save, fields):
    save("good", base_model_name_or_path=LLAMA)
    found = read_peft_folder(save("other", **fields), rate=1.0, base_model=LLAMA)
    assert (len(found.adapters), found.skipped, found.warnings) == (2, {}, {})


def test_patterns_that_vllm_loads_but_does_not_apply_are_told(save):
    root = save("a", r=8, rank_pattern={"q_proj": 100}, alpha_pattern={"q_proj": 200})
    found = read_peft_folder(root, rate=1.0)
    assert found.adapters[0].rank == 128
    assert "alpha_pattern" in found.warnings["a"]
    assert "rank_pattern" in found.warnings["a"]


def test_the_model_that_is_served_decides_which_adapters_fit(save):
    """Without it, the base model of most adapters does."""
    for name in ("one", "two"):
        save(name, base_model_name_or_path=LLAMA)
    root = save("three", base_model_name_or_path="Qwen/Qwen2.5-7B")
    assert [a.name for a in read_peft_folder(root, rate=1.0, skip_unsupported=True).adapters] == ["one", "two"]
    qwen = read_peft_folder(root, rate=1.0, base_model="Qwen/Qwen2.5-7B-Instruct", skip_unsupported=True)
    assert [(adapter.name, adapter.base_model) for adapter in qwen.adapters] == [("three", "Qwen/Qwen2.5-7B")]
    assert sorted(qwen.skipped) == ["one", "two"]
