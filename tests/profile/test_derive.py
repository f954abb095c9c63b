"""derive_profile: what it takes, what it refuses, and what its profiles say of themselves."""

import inspect
import json
from contextlib import nullcontext

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from tests.hostile import CONTROL, HOSTILE

from adaptwin import (
    Adapter,
    Profile,
    Server,
    SpecError,
    Workload,
    derive_profile,
    load_gpu,
    load_profile,
    make_plan,
    shipped_gpus,
    shipped_models,
    simulate,
)
from adaptwin.profile.evidence import BASE_CHECKED, DATA_SHEET, NOT_CLAIMED
from adaptwin.profile.hardware.held_out import held_out
from adaptwin.profile.hardware.model_config import read_model
from adaptwin.profile.measured_alike import measured_alike
from adaptwin.twin.extrapolation import extrapolations

CONFIG = {
    "model_type": "qwen3", "hidden_size": 2560, "num_hidden_layers": 36, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 9728, "vocab_size": 151936,
    "max_position_embeddings": 40960, "tie_word_embeddings": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def l40s():
    return derive_profile(gpu="l40s", model="Qwen/Qwen2.5-7B-Instruct")


@pytest.fixture
def config(tmp_path):
    """The folder of a model, with its config.json."""
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return folder


def test_all_arguments_are_keywords():
    parameters = inspect.signature(derive_profile).parameters
    assert all(each.kind is each.KEYWORD_ONLY for each in parameters.values())
    assert [name for name, each in parameters.items() if each.default is each.empty] == ["gpu", "model"]


@pytest.mark.parametrize("gpu", shipped_gpus())
@pytest.mark.parametrize("model", ["Qwen3-14B", "meta-llama/Llama-3.2-1B"])
def test_every_gpu_gives_a_sane_profile(gpu, model):
    profile = derive_profile(gpu=gpu, model=model)
    assert profile.is_derived
    assert not profile.is_measured
    assert profile.grade == (BASE_CHECKED if gpu in held_out().gpus else DATA_SHEET)
    weights = profile.model.linear_bytes / load_gpu(gpu).memory_bandwidth
    assert weights < profile.step_cost.weights < 1.5 * weights
    assert 1e-3 < profile.step_cost.host_base < 5e-3
    assert profile.price_per_hour is None


def test_a_qwen_of_14b_on_an_h100_reads_its_weights_in_about_10_ms():
    profile = derive_profile(gpu="h100-sxm", model="Qwen3-14B")
    assert profile.model.linear_bytes == pytest.approx(26.4e9, rel=0.01)  # 40 layers x 330 million x 2 bytes
    assert 26.4e9 / 3.35e12 < profile.step_cost.weights < 0.0105
    assert profile.memory.gpu_bytes == pytest.approx(79.2 * 2**30, rel=0.01)


def test_a_whole_name_goes_before_the_start_of_others():
    assert derive_profile(gpu="l4", model="Qwen3-14B").hardware == "NVIDIA L4"
    assert derive_profile(gpu="L40S", model="Qwen2.5-7B").model.name == "Qwen/Qwen2.5-7B"
    assert derive_profile(gpu="H100_SXM", model="Qwen3-14B").hardware == load_gpu("h100-sxm").hardware


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"gpu": "a100"}, "gpu: 'a100' is one of a100-pcie-80gb, a100-sxm-40gb, a100-sxm-80gb: name one"),
        ({"gpu": "h300"}, "gpu: 'h300' is not one of a10, "),
        ({"gpu": 4}, "gpu: 4 must be a str"),
        ({"model": "Qwen/Qwen3-1"}, "model: 'Qwen/Qwen3-1' is one of Qwen/Qwen3-1.7B, "),
        ({"model": "Qwen3-99B"}, "model: 'Qwen3-99B' is neither a file nor one of meta-llama/Llama-2-7b-hf, "),
        ({"model": 4}, "model: 4 must be a name or a path"),
        ({"tensor_parallel_size": 0}, "tensor_parallel_size: 0 is not a whole number of 1 or more"),
        ({"tensor_parallel_size": 3}, "tensor_parallel_size: 3 does not divide the 40 attention heads of "),
        ({"tensor_parallel_size": 10}, "tensor_parallel_size: 10 neither divides nor is a multiple of 8 heads of "),
        ({"tensor_parallel_size": 40}, "tensor_parallel_size: 40 does not divide the width 17408 of the MLP of "),
        (
            {"tensor_parallel_size": 16, "model": "Llama-3.1-70B"},
            "tensor_parallel_size: 16 is above 8: groups over several servers are not described",
        ),
        ({"tensor_parallel_size": True}, "tensor_parallel_size: True is not a whole number of 1 or more"),
        ({"tensor_parallel_size": "1"}, "tensor_parallel_size: '1' must be a int"),
        ({"quantization": "fp6"}, "quantization: 'fp6' is not one of fp8, int8, awq, gptq, "),
        ({"kv_cache_dtype": "int8"}, "kv_cache_dtype: 'int8' is not one of auto, bfloat16, fp8, "),
        ({"vllm_version": "newest"}, "vllm_version: 'newest' is not a version, such as 0."),
        ({"vllm_version": 33}, "vllm_version: 33 must be a str"),
        ({"price_per_hour": -1}, "price_per_hour: -1 must be above 0"),
        ({"name": ""}, "name: '' is not valid"),
    ],
)
def test_what_cannot_be_derived_is_refused_with_what_is_allowed(wanted, message):
    with pytest.raises(SpecError) as caught:
        derive_profile(**{"gpu": "l40s", "model": "Qwen3-14B", **wanted})
    assert str(caught.value).removeprefix("Profile.").startswith(message)


def test_a_model_may_be_a_path(config, monkeypatch):
    by_folder = derive_profile(gpu="l40s", model=config)
    assert by_folder.model.name == str(config)
    assert by_folder.name == "l40s-my-model"
    assert by_folder == derive_profile(gpu="l40s", model=str(config))
    assert by_folder == derive_profile(gpu="l40s", model=config / "config.json")
    (config / "other.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    assert derive_profile(gpu="l40s", model=config / "other.json").model.name == "other"
    monkeypatch.chdir(config.parent)
    assert derive_profile(gpu="l40s", model="my-model") == by_folder


def test_a_folder_does_not_hide_a_model_by_its_whole_name_but_by_the_start_of_it(config, monkeypatch):
    monkeypatch.chdir(config.parent)
    config.rename("Qwen3-14B")
    assert derive_profile(gpu="l40s", model="Qwen3-14B").model.name == "Qwen/Qwen3-14B"
    config.with_name("Qwen3-14B").rename("Mistral-Nemo")
    assert derive_profile(gpu="l40s", model="Mistral-Nemo").model.name == str(config.with_name("Mistral-Nemo"))


def test_price_and_name_are_those_given(l40s):
    priced = derive_profile(gpu="l40s", model="Qwen/Qwen2.5-7B-Instruct", price_per_hour=1.5, name="mine")
    assert (priced.name, priced.price_per_hour) == ("mine", 1.5)
    assert l40s.name == "l40s-qwen2.5-7b-instruct"
    assert priced.fingerprint == l40s.fingerprint
    assert priced.is_derived


def test_a_derived_profile_reads_back_from_its_file(l40s, tmp_path):
    for file in (tmp_path / "mine.yaml", tmp_path / "mine.json"):
        l40s.write(file)
        again = load_profile(file)
        assert again == l40s
        assert again.is_derived
        assert again.grade == DATA_SHEET


def test_nothing_is_claimed_of_a_profile_whose_constants_were_changed(l40s, tmp_path):
    fields = l40s.file_form()
    fields["step_cost"]["host_base"] *= 2
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(fields), encoding="utf-8")
    changed = load_profile(tmp_path / "mine.yaml")
    assert not changed.is_derived
    assert changed.claimed is None
    assert changed.grade == NOT_CLAIMED


@pytest.mark.parametrize(("model", "version"), [("gemma-2-9b", "0.33.0"), ("Qwen3-14B", "0.7.3"), ("Qwen3-14B", "1.0")])
def test_models_and_versions_outside_of_the_laws_are_not_claimed(model, version):
    assert derive_profile(gpu="h100-pcie", model=model, vllm_version=version).grade == NOT_CLAIMED


def test_every_constant_has_an_origin(l40s):
    origins = l40s.evidence.origins
    plain = {"name", "hardware", "model", "vllm_version", "source", "error", "spread", "measured", "evidence"}
    plain |= {"tensor_parallel_size", "quantization", "kv_cache_dtype"}
    for section in set(Profile.model_fields) - plain - {"undetermined", "price_per_hour"}:
        if section != "step_cost":
            assert section in origins, section
    nonzero = {f"step_cost.{name}" for name, value in l40s.step_cost if value and "expert" not in name}
    assert nonzero <= set(origins)


def test_a_combination_that_was_measured_is_known():
    derived = derive_profile(gpu="h100-64gb", model="Qwen2.5-7B")
    assert measured_alike(derived) == ["h100-64gb-qwen-2.5-7b-instruct"]
    assert measured_alike(derive_profile(gpu="h100-64gb", model="Qwen3-14B")) == []
    assert measured_alike(derive_profile(gpu="h100-sxm", model="Qwen2.5-7B")) == []


@given(st.one_of(st.sampled_from([*HOSTILE, *CONTROL, "x" * 100_000, "/", "."]), st.text(max_size=30)))
@example("a/" * 3000)
def test_any_text_as_a_name_is_found_or_refused_in_a_line(text):
    for wanted in ({"gpu": text, "model": "Qwen3-14B"}, {"gpu": "l40s", "model": text}):
        said = ""
        try:
            derive_profile(**wanted)
        except SpecError as error:
            said = str(error)
        assert len(said) < 11_000
        assert "\n" not in said


def test_every_shipped_model_is_read():
    assert all(read_model(name).shape.name == name for name in shipped_models())


def test_a_model_that_the_laws_do_not_describe_has_no_errors_to_claim():
    gemma = derive_profile(gpu="h100-pcie", model="gemma-2-9b")
    assert gemma.grade == NOT_CLAIMED
    assert (gemma.error, gemma.spread, gemma.claimed) == (None, (), None)
    [why] = extrapolations(gemma, Server(), Workload([Adapter("base", 0, 1.0)]))
    assert not why.widens
    assert "the laws do not describe" in why.subject


def test_what_no_server_was_compared_for_widens_the_intervals():
    base, lora = Workload([Adapter("base", 0, 1.0)]), Workload([Adapter("a", 16, 1.0)])
    checked = derive_profile(gpu="h100-pcie", model="Llama-3.1-8B", vllm_version="0.8.5")
    unknown = derive_profile(gpu="l40s", model="Llama-3.1-8B")
    without, slots = Server(max_loras=0), Server(max_loras=8, max_lora_rank=16)
    assert not extrapolations(checked, without, base)
    subjects = [each.subject for each in extrapolations(unknown, slots, lora)]
    assert subjects[0].startswith("vLLM 0.33.0 (compared: 0.8.5, 0.12")
    assert subjects[1:] == ["adapters on NVIDIA L40S"]
    runs = [simulate(profile, slots, lora) for profile in (checked, unknown)]
    narrow, wide = ((high / low) for low, high in (run.intervals["itl.mean"] for run in runs))
    assert wide > narrow > 1.0


@pytest.mark.parametrize(
    "version", ["latest", "", " 0.33.0", "-0.9", "0.33", "v0.11.1rc1", "0.8.5.post1", "٣.٣", "1" * 300]
)
def test_a_version_is_one_of_vllm(version):
    legal = version in ("0.33", "v0.11.1rc1", "0.8.5.post1")
    with nullcontext() if legal else pytest.raises(SpecError, match="vllm_version"):
        derive_profile(gpu="l40s", model="Qwen3-8B", vllm_version=version)


def test_profiles_of_a_plan_have_names_of_their_own():
    one = derive_profile(gpu="l40s", model="Qwen3-8B")
    other = derive_profile(gpu="h200", model="Qwen3-8B", name=one.name)
    with pytest.raises(SpecError, match="is the name of several profiles"):
        make_plan([one, other], Workload([Adapter("a", 16, 1.0)], duration=300.0))


def test_vllm_quantises_only_what_is_not_quantised_yet():
    plain = derive_profile(gpu="h100-sxm", model="Llama-3.1-8B-Instruct", quantization="fp8")
    copy = derive_profile(gpu="h100-sxm", model="org/Llama-3.1-8B-Instruct-FP8", quantization="fp8")
    assert (plain.quantization, copy.quantization) == ("fp8", None)
    assert plain.step_cost == copy.step_cost


def test_a_copy_whose_name_says_too_little_is_described_by_the_option():
    copy = derive_profile(gpu="h100-sxm", model="org/Llama-3.1-8B-Instruct-8bit", quantization="bitsandbytes")
    assert copy.model.bytes_per_weight < 1
    assert copy.quantization is None


def test_a_cache_in_fp8_holds_twice_the_tokens_under_a_name_of_its_own():
    usual, small = (derive_profile(gpu="l40s", model="Qwen3-14B", kv_cache_dtype=kind) for kind in ("auto", "fp8"))
    assert small.memory.kv_bytes_per_token == usual.memory.kv_bytes_per_token / 2
    assert small.name == f"{usual.name}-fp8-cache"


def test_a_group_is_named_priced_and_doubted_as_such():
    group = derive_profile(gpu="l4", model="Qwen3-14B", tensor_parallel_size=4)
    assert group.name == "l4-qwen3-14b-tp4"
    assert any(
        clause.startswith("a group of 4 GPUs over PCIe (2.43 GB/s assumed): a rough ")
        for clause in group.evidence.unchecked
    )
    assert "adapters on a group of GPUs" in group.evidence.unchecked_with_adapters


def test_rough_weights_are_said_to_be_rough_and_experts_get_their_grade():
    awq = derive_profile(gpu="h100-sxm", model="Qwen2.5-7B", quantization="awq")
    assert awq.evidence.unchecked[-1].startswith("AWQ, 4 bits in groups of 128, multiplied in 16 bits: a rough ")
    moe = derive_profile(gpu="h100-sxm", model="gpt-oss-20b")
    assert (moe.grade, moe.error, moe.claimed) == ("rough", None, None)
