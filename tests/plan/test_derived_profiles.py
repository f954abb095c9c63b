"""Profiles in a fleet file that are derived from a GPU and a model, alone or beside names."""

import json

import pytest
from tests.profile.test_derive import CONFIG

from adaptwin import Fleet, SpecError, derive_profile, read_fleet, shipped_profiles
from adaptwin.plan.fleet import fleet_profiles
from adaptwin.profile.profile_source import DerivedProfile, profile_from, source_beside

ADAPTERS = "adapters:\n- {name: a, rank: 8, rate: 0.5}\n"
L40S = "{gpu: l40s, model: Qwen/Qwen2.5-7B-Instruct}"


@pytest.fixture
def profiles_of(tmp_path):
    """Return a function from the value of ``profile`` in a fleet file to the profiles, and to the fleet."""

    def read(value):
        file = tmp_path / "fleets" / "fleet.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"profile: {value}\n{ADAPTERS}", encoding="utf-8")
        fleet = read_fleet(file)
        return fleet_profiles(fleet, file), fleet

    return read


def test_a_mapping_stands_for_a_profile(profiles_of):
    [profile], fleet = profiles_of(L40S)
    assert profile == derive_profile(gpu="l40s", model="Qwen/Qwen2.5-7B-Instruct")
    assert fleet.profile == (DerivedProfile(gpu="l40s", model="Qwen/Qwen2.5-7B-Instruct"),)


def test_it_may_have_a_version_a_price_and_a_name(profiles_of):
    more = "vllm_version: 0.12.0, price_per_hour: 1.2, name: mine"
    [profile], _ = profiles_of(f"{{gpu: l40s, model: Qwen3-8B, {more}}}")
    assert (profile.vllm_version, profile.price_per_hour, profile.name) == ("0.12.0", 1.2, "mine")


def test_names_and_mappings_may_stand_in_one_list(profiles_of):
    shipped = shipped_profiles()[1]
    profiles, _ = profiles_of(f"[{shipped}, {L40S}]")
    assert [profile.name for profile in profiles] == [shipped, "l40s-qwen2.5-7b-instruct"]


def test_a_path_of_a_model_is_relative_to_the_fleet_file(profiles_of, tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "num_hidden_layers": 1}), encoding="utf-8")
    (tmp_path / "fleets").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=r"fleet\.yaml: profile\[0\]\.model: 'config\.json' is neither"):
        profiles_of("{gpu: l40s, model: config.json}")
    (tmp_path / "fleets" / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    [profile], _ = profiles_of("{gpu: l40s, model: config.json}")
    assert profile.model.layers == 36


def test_a_fleet_reads_back_as_it_was_written(profiles_of, tmp_path):
    _, fleet = profiles_of(f"[{shipped_profiles()[0]}, {L40S}]")
    for name in ("again.yaml", "again.json"):
        fleet.write(tmp_path / name)
        assert read_fleet(tmp_path / name) == fleet
    assert Fleet(**dict(fleet)) == fleet


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (f"[{L40S}, {{gpu: l41s, model: Qwen3-8B}}]", "profile[1].gpu: 'l41s' is not one of a10, "),
        ("{gpu: l40s, model: Qwen3-88B}", "profile[0].model: 'Qwen3-88B' is neither a file nor one of "),
        ("{gpu: l40s}", "profile[0].model: missing"),
        ("{gpu: l40s, model: Qwen3-8B, prize: 3}", "profile[0].prize: unknown key (allowed: gpu, model, vllm_version,"),
        ("{gpu: l40s, model: Qwen3-8B, price_per_hour: 0}", "profile[0].price_per_hour: 0 must be above 0"),
        ("{gpu: l40s, model: Qwen3-8B, vllm_version: 0.33}", "profile[0].vllm_version: 0.33 is not text: put quotes"),
        ("{gpu: l40s, model: Qwen3-8B, vllm_version: new}", "profile[0].vllm_version: 'new' is not a version"),
        ("{gpu: 40, model: Qwen3-8B}", "profile[0].gpu: 40 is not text"),
        ('[""]', "profile[0]: '' is not valid"),
        ("[[l40s]]", "profile[0]: ['l40s'] is not valid"),
        ("7", "profile: 7 is not valid"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(profiles_of, value, message):
    with pytest.raises(SpecError) as caught:
        profiles_of(value)
    assert f"fleet.yaml: {message}" in str(caught.value)


def test_a_wrong_configuration_is_named_itself(profiles_of, tmp_path):
    (tmp_path / "fleets").mkdir()
    (tmp_path / "fleets" / "config.json").write_text(json.dumps({**CONFIG, "num_hidden_layers": 0}), encoding="utf-8")
    with pytest.raises(SpecError, match=r"config\.json: num_hidden_layers: 0 must be above 0"):
        profiles_of("{gpu: l40s, model: config.json}")


def test_sources_given_from_here_mean_the_same_in_a_file_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "my.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    folder = tmp_path / "fleets"
    folder.mkdir()
    derived = DerivedProfile(gpu="l40s", model="models/my.json")
    assert source_beside(derived, folder).model == "../models/my.json"
    assert profile_from(source_beside(derived, folder), folder) == profile_from(derived)
    named = DerivedProfile(gpu="l40s", model="Qwen3-8B")
    assert source_beside(named, folder) == named
    assert source_beside("mine.yaml", folder) == "../mine.yaml"
    assert source_beside(shipped_profiles()[0], folder) == shipped_profiles()[0]
