"""PEFT: adapters from folders in the format in which PEFT saves them."""

import json

import pytest

from adaptwin import SpecError
from adaptwin.workload.lora_support import ServedModel
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


@pytest.mark.parametrize(("r", "rank"), [(1, 1), (12, 12), (512, 512), ("16", 16), (16.0, 16), (" 10.0 ", 10)])
def test_a_rank_may_be_any_whole_number_however_it_is_written(save, r, rank):
    found = read_peft_folder(save("a", r=r), rate=1.0)
    assert [adapter.rank for adapter in found.adapters] == [rank]
    assert list(found.warnings) == ([] if type(r) is int else ["a"])


def test_ranks_of_the_pattern_may_be_text_too(save):
    (adapter,) = adapters_from_peft(save("a", r="8", rank_pattern={"q_proj": "8", "r": "12.0"}), rate=1.0)
    assert (adapter.rank, adapter.features.rank_pattern) == (12, {"r": 12})


def test_the_highest_rank_of_the_pattern_counts(save):
    assert ranks(save("a", r=8, rank_pattern={"q_proj": 4, "layers.0.v_proj": 40})) == [40]
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
        ({"r": 0}, "r: 0 must be a whole number"),
        ({"r": "0"}, "r: '0' must be a whole number"),
        ({"r": "eight"}, "r: 'eight' must be a whole number"),
        ({"r": -8}, "r: -8 must be a whole number"),
        ({"r": 8.5}, "r: 8.5 must be a whole number"),
        ({"r": "8.5"}, "r: '8.5' must be a whole number"),
        ({"r": float("nan")}, "r: nan must be a whole number"),
        ({"r": float("inf")}, "r: inf must be a whole number"),
        ({"r": 1e300}, "r: 1e+300 must be a whole number"),
        ({"r": 10**30}, f"r: {10**30} must be a whole number"),
        ({"r": None}, "r: None must be a whole number"),
        ({"r": [8]}, "r: [8] must be a whole number"),
        ({"r": True}, "r: True must be a whole number"),
        ({"rank_pattern": {"q_proj": 0}}, "rank_pattern.q_proj: 0 must be a whole number, at least 1"),
        ({"alpha_pattern": [16]}, "alpha_pattern: [16] is not valid"),
        ({"modules_to_save": 3}, "modules_to_save: 3 is not valid"),
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
ON_0_8_5 = ServedModel(LLAMA, "0.8.5", lora_embeddings=True)
ON_0_32 = ServedModel(LLAMA, "0.32.0", lora_embeddings=True)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"use_dora": True}, "use_dora True: DoRA is not supported"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save lm_head: modules trained in full are not loaded"),
        ({"modules_to_save": "score"}, "modules_to_save score: modules trained in full are not loaded"),
        ({"bias": "lora_only"}, "bias lora_only: biases are not loaded"),
        ({"lora_bias": True}, "lora_bias True: biases of adapters are not loaded"),
        ({"target_parameters": ["mlp.experts.down_proj"]}, "target_parameters mlp.experts.down_proj: the model has no"),
        ({"trainable_token_indices": [1, 2]}, "trainable_token_indices True: trained tokens are not loaded"),
        ({"trainable_token_indices": {"embed_tokens": [7]}}, "trainable_token_indices True: trained tokens"),
        ({"task_type": "SEQ_CLS"}, "task_type SEQ_CLS: the servers of a plan generate text"),
        ({"init_lora_weights": "pissa_niter_16"}, "init_lora_weights pissa_niter_16: training changed the base model"),
        ({"layer_replication": [[0, 4], [2, 5]]}, "variants layer_replication: this variant of LoRA is not supported"),
        ({"alora_invocation_tokens": [1, 2]}, "variants alora_invocation_tokens: this variant"),
        ({"use_qalora": True}, "variants use_qalora: this variant"),
        ({"use_bdlora": {"nblocks": 2}}, "variants use_bdlora: this variant"),
        ({"use_another": True}, "variants use_another: this variant"),
        ({"kasa_config": {"beta": 0.0001}}, "variants kasa_config: this variant"),
        ({"target_modules": ["q_proj", "score"]}, "target_modules score: the model offers no such modules for LoRA"),
        ({"target_modules": ["gate", "model.layers.0.mlp.experts.3.w1"]}, "target_modules gate, model.layers.0.mlp."),
        ({"peft_type": "IA3"}, "peft_type: 'IA3' must be 'LORA'"),
        ({"peft_type": None}, "peft_type: missing must be 'LORA'"),
        ({"r": 1024}, "rank 1024: 512 is the highest that vLLM serves"),
        ({"rank_pattern": {"q_proj": 513}}, "rank 513: 512 is the highest that vLLM serves"),
        ({"base_model_name_or_path": "mistralai/Mistral-7B-v0.1"}, f"mistralai/Mistral-7B-v0.1, not {LLAMA}"),
    ],
)
def test_what_vllm_refuses_to_load_is_refused_or_left_out(save, fields, reason):
    save("good", base_model_name_or_path=LLAMA)
    save("fine", base_model_name_or_path=LLAMA)
    root = save("bad", **{"base_model_name_or_path": LLAMA, **fields})
    for served in (None, ON_0_8_5, ON_0_32):
        with pytest.raises(
            SpecError, match=r"cannot serve 1 of 3 adapters \(--skip-unsupported leaves them out\): bad "
        ):
            read_peft_folder(root, rate=1.0, served=served)
        found = read_peft_folder(root, rate=1.0, served=served, skip_unsupported=True)
        assert [adapter.name for adapter in found.adapters] == ["fine", "good"]
        assert list(found.skipped) == ["bad"]
        assert reason in found.skipped["bad"]


def test_all_adapters_that_vllm_refuses_are_named_with_all_reasons(save):
    save("good", base_model_name_or_path=LLAMA)
    save("one", use_dora=True, bias="all")
    root = save("two", lora_bias=True)
    with pytest.raises(SpecError) as caught:
        read_peft_folder(root, rate=1.0, served=ON_0_8_5)
    assert str(caught.value).startswith(f"{root}: vLLM 0.8.5 cannot serve 2 of 3 adapters")
    assert "one (use_dora True: DoRA is not supported; bias all: " in str(caught.value)
    assert "two (lora_bias True" in str(caught.value)


def test_a_folder_of_adapters_that_vllm_refuses_leaves_none_to_skip_to(save):
    with pytest.raises(SpecError, match="cannot serve 1 of 1 adapters"):
        read_peft_folder(save("a", use_dora=True), rate=1.0, skip_unsupported=True)


def test_adapters_that_are_left_out_need_no_rate(save):
    save("good")
    found = read_peft_folder(save("bad", use_dora=True), rates={"good": 2.0}, skip_unsupported=True)
    assert [(adapter.name, adapter.rate) for adapter in found.adapters] == [("good", 2.0)]


@pytest.mark.parametrize(
    "fields",
    [
        {"bias": "none", "use_dora": False, "modules_to_save": None, "lora_bias": False, "rank_pattern": None},
        {"modules_to_save": [], "target_parameters": [], "alpha_pattern": {}, "bias": None, "task_type": None},
        {"use_rslora": True, "fan_in_fan_out": True, "megatron_config": {}, "megatron_core": "megatron.core"},
        {"init_lora_weights": "gaussian"},
        {"init_lora_weights": False},
        {"init_lora_weights": "eva", "eva_config": {"rho": 2.0}},
        {"use_qalora": False, "qalora_group_size": 16, "use_bdlora": None, "layer_replication": None},
        {"task_type": "CAUSAL_LM"},
        {"target_modules": "all-linear"},
        {"target_modules": ["model.layers.3.self_attn.q_proj", "lm_head", "embed_tokens"]},
        {"target_modules": ".*language_model.*"},
        {"target_modules": "(("},
        {"layers_to_transform": [1, 2], "layers_pattern": "layers", "exclude_modules": ["q_proj"]},
        {"lora_alpha": 16, "alpha_pattern": {"q_proj": 16}, "rank_pattern": {"q_proj": 8}},
        {"base_model_name_or_path": "unsloth/Llama-3.1-8B-Instruct-bnb-4bit"},
        {"base_model_name_or_path": None},
    ],
)
def test_what_vllm_loads_is_accepted(save, fields):
    save("good", base_model_name_or_path=LLAMA)
    found = read_peft_folder(save("other", **fields), rate=1.0, served=ON_0_8_5)
    assert (len(found.adapters), found.skipped, found.warnings) == (2, {}, {})
    assert [adapter.features for adapter in found.adapters] == [None, None]


@pytest.mark.parametrize("modules", [["q_proj", "lm_head"], ["embed_tokens"], ".*", "(model\\.)?(q_proj|lm_head)"])
def test_embeddings_are_modules_of_some_models_only(save, modules):
    root = save("a", target_modules=modules)
    assert read_peft_folder(root, rate=1.0, served=ON_0_8_5).skipped == {}
    with pytest.raises(SpecError, match="the model offers no such modules for LoRA"):
        read_peft_folder(root, rate=1.0, served=ON_0_8_5._replace(lora_embeddings=False))


def test_patterns_are_applied_since_vllm_0_32(save):
    root = save("a", r=8, lora_alpha=16, rank_pattern={"q_proj": 100, "k_proj": 8}, alpha_pattern={"q_proj": 200})
    for served, told in ((None, ["a"]), (ON_0_8_5, ["a"]), (ON_0_32, [])):
        found = read_peft_folder(root, rate=1.0, served=served)
        assert found.adapters[0].rank == 100
        assert found.adapters[0].features.rank_pattern == {"q_proj": 100}
        assert found.adapters[0].features.alpha_pattern == {"q_proj": 200.0}
        assert list(found.warnings) == told
    warning = read_peft_folder(root, rate=1.0).warnings["a"]
    assert warning == "rank_pattern and alpha_pattern: vLLM before 0.32 scales every module by lora_alpha / r"


@pytest.mark.parametrize(
    ("base", "warning"),
    [
        ("meta-llama/Llama-3.1-8B", "perhaps other weights"),
        ("/models/llama", "the base model /models/llama is a path, so whether it is"),
    ],
)
def test_a_base_model_that_may_have_other_weights_is_told(save, base, warning):
    found = read_peft_folder(save("a", base_model_name_or_path=base), rate=1.0, served=ON_0_8_5)
    assert warning in found.warnings["a"]


def test_the_model_that_is_served_decides_which_adapters_fit(save):
    """Without it, the base model of most adapters does."""
    for name in ("one", "two"):
        save(name, base_model_name_or_path=LLAMA)
    root = save("three", base_model_name_or_path="Qwen/Qwen2.5-7B")
    assert [a.name for a in read_peft_folder(root, rate=1.0, skip_unsupported=True).adapters] == ["one", "two"]
    served = ServedModel("Qwen/Qwen2.5-7B-Instruct", "0.8.5", lora_embeddings=False)
    qwen = read_peft_folder(root, rate=1.0, served=served, skip_unsupported=True)
    assert [(adapter.name, adapter.base) for adapter in qwen.adapters] == [("three", "Qwen/Qwen2.5-7B")]
    assert sorted(qwen.skipped) == ["one", "two"]


def test_adapters_of_several_base_models_are_each_held_against_their_own(save):
    for name, base in (("a", LLAMA), ("b", "Qwen/Qwen2.5-7B-Instruct"), ("c", "microsoft/phi-4"), ("d", None)):
        root = save(name, base_model_name_or_path=base)
    served = [ServedModel(LLAMA, "0.8.5"), ServedModel("Qwen/Qwen2.5-7B-Instruct", "0.8.5")]
    found = read_peft_folder(root, rate=1.0, served=served, skip_unsupported=True)
    assert {adapter.name: adapter.base for adapter in found.adapters} == {"a": LLAMA, "b": "Qwen/Qwen2.5-7B-Instruct"}
    assert found.skipped == {
        "c": "no profile serves its base model microsoft/phi-4",
        "d": "it names no base model, and the profiles have several",
    }
