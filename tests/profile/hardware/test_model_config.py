"""Shapes of models: known ones by name, others from their configuration, and what is refused with its reason."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaptwin import SpecError
from adaptwin.profile.hardware.model_config import read_model, shipped_models
from adaptwin.profile.profile import load_profile, shipped_profiles

SAMPLES = Path(__file__).resolve().parents[4] / "shared" / "schemas" / "samples"
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"needs the samples in {SAMPLES}")

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
}
REFUSED = {
    "hf_config/Qwen2.5-72B.short": "max_position_embeddings: missing",
    "hf_quantised/Llama-4-Scout-17B-16E-Instruct-FP8-dynamic": "text_config.model_type: 'llama4_text' is not one of",
    "hf_quantised/nvidia-Llama-3.1-70B-Instruct-FP8.hf_quant_config": "model_type: missing",
    **dict.fromkeys(
        (f"hf_quantised/{path.stem}" for path in (SAMPLES / "hf_quantised").glob("block-*.json")), "model_type: missing"
    ),
}
NOT_SHIPPED = {  # billions of weights, and GiB with the widths of the files
    "hf_config/Mixtral-8x7B-v0.1": (46.7, 87.0),
    "hf_config/Qwen3-30B-A3B": (30.5, 56.8),
    "hf_config/gpt-oss-20b": (20.9, 12.8),
    "hf_quantised/Mixtral-8x7B-Instruct-v0.1-AWQ.short": (46.7, 23.0),
    "hf_quantised/Qwen2.5-72B-Instruct-AWQ.short": (73.0, 38.7),
    "hf_quantised/Qwen3-30B-A3B-FP8": (30.5, 29.0),
    "hf_quantised/Qwen3-32B-FP8-Static-PerTensor": (32.8, 32.0),
    "hf_quantised/Qwen3-32B-FP8": (32.8, 32.0),
    "hf_quantised/nvidia-Llama-3.1-70B-Instruct-FP8": (70.6, 67.7),
}
OTHER_CONTEXT = {"Qwen/Qwen2.5-32B-Instruct"}  # presets with another context than the model's own configuration


@pytest.fixture
def config(tmp_path):
    """Return a function that writes the configuration of a model of 8B, changed, and reads it."""

    def read(changes=None, without=(), file="config.json", **options):
        fields = {key: value for key, value in {**LLAMA, **(changes or {})}.items() if key not in without}
        folder = tmp_path / "my-model"
        folder.mkdir(exist_ok=True)
        (folder / file).write_text(json.dumps(fields))
        return read_model(folder / file if file != "config.json" else folder, **options)

    return read


def test_a_shape_has_the_published_number_of_weights():
    published = {
        "Llama-2-7b-hf": 6.74e9,
        "Llama-3.1-8B": 8.03e9,
        "Llama-3.1-70B": 70.55e9,
        "Llama-3.2-1B": 1.24e9,
        "Llama-3.2-3B": 3.21e9,
        "Qwen2.5-0.5B": 0.494e9,
        "Qwen2.5-1.5B": 1.54e9,
        "Qwen2.5-3B": 3.09e9,
        "Qwen2.5-7B": 7.62e9,
        "Qwen2.5-14B": 14.8e9,
        "Qwen2.5-32B": 32.8e9,
        "Qwen2.5-72B": 72.7e9,
        "Qwen3-0.6B": 0.6e9,
        "Qwen3-1.7B": 1.72e9,
        "Qwen3-4B": 4.02e9,
        "Qwen3-8B": 8.19e9,
        "Qwen3-14B": 14.8e9,
        "Qwen3-32B": 32.8e9,
        "Mistral-7B-v0.3": 7.25e9,
        "Mistral-Nemo-Instruct-2407": 12.2e9,
        "Mistral-Small-24B-Base-2501": 23.6e9,
        "gemma-2-9b": 9.24e9,
        "gemma-3-1b-it": 1.0e9,
        "gemma-3-12b-it": 11.77e9,  # of 12.2e9: those of the vision tower, 0.42e9, are not counted
        "Phi-3.5-mini-instruct": 3.82e9,
        "phi-4": 14.7e9,
        "Phi-4-mini-instruct": 3.84e9,
        "Mixtral-8x7B-v0.1": 46.7e9,
        "Qwen/Qwen3-30B-A3B": 30.5e9,
        "gpt-oss-20b": 20.9e9,
        "gpt-oss-120b": 116.8e9,
    }
    for name, weights in published.items():
        assert read_model(name).shape.weights == pytest.approx(weights, rel=0.01), name
    assert {sizes(name) for name in published} == {sizes(name) for name in shipped_models()}  # every shape is checked


def sizes(name):
    shape = read_model(name).shape
    return shape.weights, shape.kv_bytes_per_token


@pytest.mark.parametrize("profile", shipped_profiles())
def test_a_measured_model_has_the_shape_of_its_profile(profile):
    measured = load_profile(profile)
    assert read_model(measured.model.name, vllm_version=measured.vllm_version).shape == measured.model


@pytest.mark.parametrize("name", shipped_models())
def test_a_shipped_model_is_known_by_its_name_in_any_case(name):
    sheet = read_model(name)
    assert sheet.shape.name == name
    assert read_model(name.rpartition("/")[2]) == read_model(name.upper()) == sheet


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("phi-4", "microsoft/phi-4"),
        ("Phi-4-mini", "microsoft/Phi-4-mini-instruct"),
        ("mistral-nemo", "mistralai/Mistral-Nemo-Instruct-2407"),
        ("qwen3-8b", "Qwen/Qwen3-8B"),
        ("Llama-3.3", "meta-llama/Llama-3.3-70B-Instruct"),
        ("microsoft/Phi-3", "microsoft/Phi-3.5-mini-instruct"),
    ],
)
def test_the_start_of_a_name_is_enough_and_a_whole_name_goes_first(typed, name):
    assert read_model(typed).shape.name == name


def test_the_start_of_several_names_lists_them():
    with pytest.raises(SpecError) as error:
        read_model("gemma-2")
    assert str(error.value) == "model: 'gemma-2' is one of google/gemma-2-9b, google/gemma-2-9b-it: name one"


def test_an_unknown_name_lists_the_known_ones_and_the_nearest():
    with pytest.raises(SpecError) as error:
        read_model("Qwen/Qwen3-9B")
    assert all(name in str(error.value) for name in ["model: 'Qwen/Qwen3-9B' is neither a file", *shipped_models()])
    assert "did you mean Qwen/Qwen3-" in str(error.value)


@pytest.mark.parametrize("wrong", [None, 8, ["Qwen/Qwen3-8B"]])
def test_what_is_neither_name_nor_path_is_refused(wrong):
    with pytest.raises(SpecError, match=r"model: .* must be a name or a path"):
        read_model(wrong)


def test_a_path_goes_before_the_start_of_a_name_and_after_a_whole_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("Phi-4-mini", "phi-4"):
        (tmp_path / name).write_text(json.dumps(LLAMA))
    assert read_model("Phi-4-mini").shape.layers == LLAMA["num_hidden_layers"]
    assert read_model("phi-4").shape.name == "microsoft/phi-4"
    assert read_model("./phi-4").shape.name == "phi-4"


def test_a_model_is_named_by_its_configuration_its_folder_or_its_file(config, tmp_path, monkeypatch):
    folder = str(tmp_path / "my-model")
    assert config().shape.name == folder
    assert read_model(tmp_path / "my-model" / "config.json").shape.name == folder
    assert config({"_name_or_path": "org/parent"}).shape.name == folder
    assert config(file="Llama-3.1-8B").shape.name == "Llama-3.1-8B"
    assert config(file="mine.json").shape.name == "mine"
    assert config({"_name_or_path": "org/model"}, file="mine.json").shape.name == "org/model"
    for illegal in ("", " ", "--port=1", "a\nb", 7, None):
        assert config({"_name_or_path": illegal}, file="mine.json").shape.name == "mine"
    monkeypatch.chdir(tmp_path / "my-model")
    assert read_model(Path()).shape.name == folder


@pytest.mark.parametrize(
    ("name", "method"), [("nvidia/Llama-3.1-8B-Instruct-FP8", "fp8"), ("org/model-AWQ", "awq"), ("m-w4a16", "gptq")]
)
def test_a_copy_in_fewer_bits_is_known_by_the_name_in_its_configuration(config, name, method):
    sheet = config({"_name_or_path": name}, file="mine.json")
    assert sheet.quantization.method == method
    assert any(f"is assumed, as '{name}' says" in note for note in sheet.notes)


def test_fields_that_are_left_out_have_the_defaults_of_their_family(config):
    assert config(without=["num_key_value_heads"]).shape.kv_heads == 32
    assert config({"head_dim": None}).shape.head_dim == 128
    assert config({"head_dim": 64}).shape.head_dim == 64
    assert config({"model_type": "qwen3", "hidden_size": 2560}).shape.head_dim == 128
    assert not config().shape.tied_embeddings
    assert config({"model_type": "gemma2"}).shape.tied_embeddings
    assert not config({"model_type": "gemma2", "tie_word_embeddings": False}).shape.tied_embeddings


def test_a_short_gemma_3_is_completed_as_hugging_face_does(config):
    text = {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text", "num_hidden_layers": 34}
    gemma = {"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"], "text_config": text}
    shape, notes, *_ = config(gemma, without=[*LLAMA.keys() - gemma.keys()])
    assert shape.weights == pytest.approx(3.88e9, rel=0.01)
    assert (shape.heads, shape.kv_heads, shape.max_model_len, shape.tied_embeddings) == (8, 4, 131072, True)
    assert any("vision tower" in note for note in notes)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_weights_are_served_in_16_bits(config, dtype):
    assert config({"torch_dtype": dtype}).shape.bytes_per_weight == 2
    assert config({"dtype": dtype}, without=["torch_dtype"]).shape.bytes_per_kv_value == 2


def test_lora_of_the_embeddings_depends_on_family_and_version():
    served = {
        name: [
            read_model(name, vllm_version=version).shape.lora_embeddings for version in ("0.8.5", "0.12.0", "0.32.0")
        ]
        for name in ("Llama-3.2-1B", "Mistral-Nemo", "Qwen2.5-7B", "Qwen3-8B", "gemma-2-9b", "gemma-3-1b-it", "phi-4")
    }
    assert served == {
        "Llama-3.2-1B": [True, True, True],
        "Mistral-Nemo": [True, True, False],
        "Qwen2.5-7B": [False, False, False],
        "Qwen3-8B": [False, False, True],
        "gemma-2-9b": [False, False, False],
        "gemma-3-1b-it": [False, False, False],
        "phi-4": [True, True, True],
    }


def test_a_window_is_told_where_a_layer_has_one(config):
    def told(**fields):
        return [note for note in config(fields).notes if "sliding window of 4,096 tokens" in note]

    assert not told()
    assert told(model_type="mistral", sliding_window=4096)
    assert not told(model_type="mistral", sliding_window=None)
    assert not told(model_type="phi3", sliding_window=262144)
    assert told(model_type="gemma2")
    assert not told(model_type="qwen2", sliding_window=4096)
    assert not told(model_type="qwen2", sliding_window=4096, use_sliding_window=False)
    assert told(model_type="qwen2", sliding_window=4096, use_sliding_window=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "mamba"}, "model_type: 'mamba' is not one of llama, "),
        ({"model_type": ["llama"]}, "model_type: ['llama'] is not one of llama, "),
        ({"model_type": None}, "model_type: missing (allowed: llama, "),
        ({"kv_lora_rank": 512}, "kv_lora_rank: 512: latent attention (MLA) is not supported"),
        ({"is_encoder_decoder": True}, "is_encoder_decoder: True: models with an encoder"),
        ({"architectures": ["BertForMaskedLM"]}, "architectures: ['BertForMaskedLM'] generates no text"),
        ({"architectures": "LlamaForCausalLM"}, "architectures: 'LlamaForCausalLM' generates no text"),
        (
            {"num_local_experts": 8},
            "num_local_experts: 8: of the models with experts, only mixtral, ",
        ),
        ({"model_type": "mixtral"}, "num_local_experts: missing"),
        ({"model_type": "mixtral", "num_local_experts": True}, "num_local_experts: True is not a positive whole "),
        ({"model_type": "qwen3_moe", "decoder_sparse_step": 2}, "decoder_sparse_step: 2: only models with experts in "),
        ({"mlp_only_layers": [0]}, "mlp_only_layers: [0]: layers without experts among others"),
        ({"quantization_config": "awq"}, "quantization_config: 'awq' must be a mapping of fields"),
        ({"torch_dtype": "float8_e4m3fn"}, "torch_dtype: 'float8_e4m3fn' is not one of bfloat16, float16, float32"),
        ({"hidden_size": None}, "hidden_size: missing"),
        ({"hidden_size": "4096"}, "hidden_size: '4096' is not a whole number"),
        ({"hidden_size": 4096.0}, "hidden_size: 4096.0 is not a whole number"),
        ({"hidden_size": float("nan")}, "hidden_size: nan is not a whole number"),
        ({"hidden_size": True}, "hidden_size: True is not a whole number"),
        ({"hidden_size": 0}, "hidden_size: 0 must be above 0"),
        ({"num_hidden_layers": 10**12}, "num_hidden_layers: 1000000000000 must be at most 1e+08"),
        ({"max_position_embeddings": 10**8}, "max_position_embeddings: 100000000 must be at most 1e+07"),
        ({"num_key_value_heads": 5}, "num_key_value_heads: 5 does not divide num_attention_heads, 32"),
        ({"num_attention_heads": 24}, "head_dim: missing, and num_attention_heads, 24, does not divide 4096"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings: 'no' is not valid"),
        ({"text_config": [1]}, "text_config: [1] must be a mapping of fields"),
        ({"text_config": {"hidden_size": -1}}, "text_config.hidden_size: -1 must be above 0"),
        (
            {"text_config": {"model_type": "mllama_text_model"}},
            "text_config.model_type: 'mllama_text_model' is not one of",
        ),
    ],
)
def test_what_is_not_supported_is_named(config, changes, message):
    with pytest.raises(SpecError) as error:
        config(changes)
    assert f"config.json: {message}" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("model_type: llama", "not valid JSON"),
        ("[1, 2]", "expected a mapping of fields, found a list"),
        ("null", "expected a mapping of fields, found nothing"),
        ('{"model_type": "llama", "model_type": "qwen2"}', "duplicate key 'model_type'"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' * 100 + "1" + "}" * 100, "nested too deeply"),
        ("[" + "0," * 5_000_001 + "0]", "more than 5,000,000 values"),
        (" " * ((1 << 24) + 1), "too large (at most 16 MiB)"),
        ("\0", "NUL character"),
    ],
    ids=range(10),
)
def test_a_file_that_is_no_configuration_is_refused(text, message, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(SpecError) as error:
        read_model(tmp_path)
    assert "config.json: " in str(error.value)
    assert message in str(error.value)


def test_a_folder_without_a_configuration_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"config\.json: no such file"):
        read_model(tmp_path)
    with pytest.raises(SpecError, match=r"mine\.json: no such file"):
        read_model(tmp_path / "mine.json")
    for unreadable in ("a" * 5000, "a\0b"):
        with pytest.raises(SpecError):
            read_model(tmp_path / unreadable)
        with pytest.raises(SpecError, match="is neither a file nor one of"):
            read_model(unreadable)


def test_a_model_that_modelopt_quantised_is_known_by_the_file_beside_it(config, tmp_path):
    assert config().quantization is None
    beside = tmp_path / "my-model" / "hf_quant_config.json"
    beside.write_text('{"quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}}')
    assert config().quantization.fp8_cache
    beside.write_text("{}")
    with pytest.raises(SpecError, match=r"hf_quant_config\.json: quantization\.quant_method: '' is not one of fp8, "):
        config()


JSON_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(
        st.sampled_from(sorted(LLAMA)), st.one_of(st.none(), st.integers(), st.text(max_size=3)), max_size=3
    ),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from([*sorted(LLAMA), "head_dim", "text_config", "_name_or_path", "dtype"]), JSON_VALUES)
)
def test_a_damaged_configuration_is_read_or_refused(tmp_path, damage):
    file = tmp_path / "damaged.json"
    file.write_text(json.dumps({**LLAMA, **damage}))
    try:
        shape = read_model(file).shape
    except SpecError as error:
        assert error.file == file  # noqa: PT017
    else:
        assert shape.weights_bytes > 0


@needs_samples
@pytest.mark.parametrize(
    "sample",
    [
        f"{folder}/{path.name.removesuffix('.json')}"
        for folder in ("hf_config", "hf_quantised")
        for path in sorted((SAMPLES / folder).glob("*.json"))
    ],
)
def test_a_published_configuration_is_read_or_refused_with_its_reason(sample):
    file = SAMPLES / f"{sample}.json"
    if sample in REFUSED:
        with pytest.raises(SpecError) as error:
            read_model(file)
        assert REFUSED[sample] in str(error.value)
        return
    shape, notes, *_ = read_model(file)
    if sample in NOT_SHIPPED:
        figures = shape.weights / 1e9, shape.weights_bytes / 2**30
        assert figures == pytest.approx(NOT_SHIPPED[sample], rel=0.004)
        return
    model = file.name.removesuffix(".json").removesuffix(".short").lower()
    found = [name for name in shipped_models() if name.lower().endswith(f"/{model}")]
    for name in found:
        ignored = {"name": name, "early_stop_share": 0.0, "early_stop_reach": 0.5}
        if name in OTHER_CONTEXT:
            ignored["max_model_len"] = 1
        known = read_model(name)
        assert shape.model_copy(update=ignored) == known.shape.model_copy(update=ignored)
        assert notes == known.notes
    assert found
