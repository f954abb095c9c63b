"""Export to KubeAI: Models with adapters under labels, and LiteLLM's proxy that has the plan's names."""

import re

import pytest
import yaml
from tests.export.hard_plans import LLAMA, MERGED, everyday_plan, hard_plan
from tests.export.plans_by_hand import plan_by_hand
from tests.export.read_back import of_kind
from tests.export.read_kserve import asked, entries

from adaptwin.export.exported import exported
from adaptwin.export.options import ExportOptions, SecretKey


@pytest.mark.parametrize("make", [everyday_plan, hard_plan])
def test_models_obey_what_the_api_server_checks_beyond_the_schema(make):
    for model in of_kind(exported(make(), "kubeai").files, "Model"):
        spec = model["spec"]
        assert len(model["metadata"]["name"]) <= 40
        assert re.match(r"(hf|pvc|s3)://", spec["url"])
        assert spec["minReplicas"] == spec["maxReplicas"] == 1
        names = [adapter["name"] for adapter in spec.get("adapters", [])]
        assert len(names) == len(set(names))
        assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name) for name in names)  # part of a pod's label
        assert all(re.match(r"(hf|s3|gs|oss)://", adapter["url"]) for adapter in spec.get("adapters", []))


@pytest.mark.parametrize("make", [everyday_plan, hard_plan])
def test_every_model_has_a_resource_profile_in_the_values(make):
    files = exported(make(), "kubeai").files
    profiles = yaml.safe_load(files["kubeai-values.yaml"])["resourceProfiles"]
    assert {model["spec"]["resourceProfile"].partition(":")[0] for model in of_kind(files, "Model")} == set(profiles)
    assert all(profile["limits"] == {"nvidia.com/gpu": "1"} for profile in profiles.values())


def test_an_adapter_is_asked_for_by_the_labels_of_model_and_adapter():
    files = exported(
        plan_by_hand({"Rack 1": {"UPPER": 1.0, "lower": 1.0, "base": 1.0}}, bases=("base",)), "kubeai"
    ).files
    (model,) = of_kind(files, "Model")
    label = model["metadata"]["name"]
    assert re.fullmatch(r"rack-1-[0-9a-f]{8}", label)
    names = {entry["model_name"]: asked(entry) for entry in entries(files)}
    assert re.fullmatch(rf"{label}_upper-[0-9a-f]{{8}}", names.pop("UPPER"))
    assert names == {"lower": f"{label}_lower", "base": label, LLAMA.model.name: label}


def test_adapters_in_folders_are_asked_for_in_a_bucket_and_it_is_said():
    artifacts = {"b": "/adapters/b", "c": "oss://bucket/c", "d": "https://example.com/d", "e": "org/e"}
    options = ExportOptions(adapters_claim="my-bucket")
    plan = plan_by_hand({"gpu-0": dict.fromkeys("abcde", 1.0)}, artifacts=artifacts)
    files, said = exported(plan, "kubeai", options)
    (model,) = of_kind(files, "Model")
    assert {each["name"]: each["url"] for each in model["spec"]["adapters"]} == {
        "a": "s3://my-bucket/a",
        "b": "s3://my-bucket/b",
        "c": "oss://bucket/c",
        "d": "s3://my-bucket/d",
        "e": "hf://org/e",
    }
    assert any("upload the weights of 3 adapters to s3://my-bucket/NAME" in line for line in said)


def test_a_merged_model_comes_from_a_folder_of_its_claim():
    files, said = exported(plan_by_hand({"gpu-0": {"merged one": 1.0}}, settings=MERGED), "kubeai")
    (model,) = of_kind(files, "Model")
    folder = model["spec"]["url"].removeprefix("pvc://merged/")
    assert re.fullmatch(r"merged-one-[0-9a-f]{8}", folder)
    assert "adapters" not in model["spec"]
    assert not any("lora" in word for word in model["spec"]["args"])
    assert any(f"'merged one' in {folder}" in line for line in said)


def test_no_api_key_is_asked_for_as_kubeai_sends_none():
    options = ExportOptions(api_key=SecretKey(name="keys", key="vllm"))
    files, said = exported(plan_by_hand({"gpu-0": {"a": 1.0}}), "kubeai", options)
    assert not any("api_key" in entry["litellm_params"] for entry in entries(files))
    assert "VLLM_API_KEY" not in "\n".join(files.values())
    assert any("without an API key" in line for line in said)


def test_another_address_of_kubeai_may_be_given():
    options = ExportOptions(urls={"gpu-0": "https://kubeai.example.com/openai"})
    files = exported(plan_by_hand({"gpu-0": {"a": 1.0}, "gpu-1": {"b": 1.0}}), "kubeai", options).files
    addresses = {entry["model_name"]: entry["litellm_params"]["api_base"] for entry in entries(files)}
    assert addresses["a"] == "https://kubeai.example.com/openai/v1"
    assert addresses["b"] == "http://kubeai.default.svc/openai/v1"
