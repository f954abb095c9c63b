"""The profiles of a design: shipped, from files or derived, and the order in which mixes take turns on them."""

import json
from collections import Counter

import pytest
import yaml
from tests.dataset.designs import LLAMA, QWEN, tiny

from adaptwin import SpecError, derive_profile, load_design, load_profile
from adaptwin.dataset.design_profiles import design_profiles, profile_place

L40S = {"gpu": "l40s", "model": "Qwen2.5-7B-Instruct"}


def test_a_design_lists_names_files_and_what_to_derive(tmp_path):
    load_profile(QWEN).model_copy(update={"name": "own"}).write(tmp_path / "own.yaml")
    text = yaml.safe_dump({"profiles": [LLAMA, "own.yaml", L40S]})
    (tmp_path / "d.yaml").write_text(text, encoding="utf-8")
    profiles = design_profiles(load_design(tmp_path / "d.yaml"))
    assert [profile.name for profile in profiles] == [LLAMA, "own", "l40s-qwen2.5-7b-instruct"]
    assert profiles[2] == derive_profile(**L40S)


def test_a_model_beside_the_design_is_found_from_any_folder(tmp_path, monkeypatch):
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "intermediate_size": 1024,
        "vocab_size": 1000,
        "max_position_embeddings": 4096,
        "torch_dtype": "bfloat16",
    }
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "d.yaml").write_text("profiles: [{gpu: l4, model: mine}]\n", encoding="utf-8")
    design = load_design(tmp_path / "d.yaml")
    monkeypatch.chdir("/")
    (profile,) = design_profiles(design)
    assert (profile.model.hidden, profile.model.layers) == (512, 4)


def test_a_profile_that_is_listed_twice_gets_twice_the_mixes():
    design = tiny(profiles=(LLAMA, QWEN, LLAMA))
    assert Counter(design.profiles[profile_place(design, number)] for number in range(9)) == {LLAMA: 6, QWEN: 3}
    assert [profile.name for profile in design_profiles(design)] == [LLAMA, QWEN, LLAMA]


def test_different_profiles_of_one_name_are_refused():
    other = tiny(profiles=({**L40S}, {**L40S, "vllm_version": "0.8.5"}))
    with pytest.raises(SpecError) as error:
        design_profiles(other)
    assert str(error.value) == (
        "profiles[1]: 'l40s-qwen2.5-7b-instruct' names two different profiles: give one another name"
    )
    named = tiny(profiles=({**L40S}, {**L40S, "vllm_version": "0.8.5", "name": "older"}))
    assert [profile.name for profile in design_profiles(named)] == ["l40s-qwen2.5-7b-instruct", "older"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{gpu: h900, model: Qwen2.5-7B-Instruct}", "gpu: 'h900' is not one of "),
        ("{gpu: l4, model: Nope-7B}", r"d\.yaml: profiles: model: 'Nope-7B' is neither a file nor one of "),
        ("{gpu: l4}", r"d\.yaml: profiles\[0\]\.model: missing"),
    ],
)
def test_what_cannot_be_derived_is_refused(tmp_path, source, message):
    (tmp_path / "d.yaml").write_text(f"profiles: [{source}]\n", encoding="utf-8")
    with pytest.raises(SpecError, match=message):
        design_profiles(load_design(tmp_path / "d.yaml"))


def test_every_profile_sees_the_whole_range_of_a_sobol_sequence():
    design = tiny(profiles=(LLAMA, QWEN, LLAMA, QWEN), sampler="sobol", mixes=64, adapters={"low": 1, "high": 9})
    adapters = [values["adapters"] for values in design.values()]
    for place in range(4):
        own = [few for number, few in enumerate(adapters) if profile_place(design, number) == place]
        assert len(own) == 16
        assert min(own) < 3
        assert max(own) > 7
