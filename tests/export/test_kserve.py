"""Export to KServe: adapters as fields where KServe can express them, and as flags where it cannot."""

import re
from urllib.parse import urlsplit

import pytest
from tests.export.hard_plans import BASE_ONLY, LLAMA, MERGED, SETTINGS, everyday_plan, hard_plan
from tests.export.plans_by_hand import plan_by_hand
from tests.export.read_back import modules_in, of_kind
from tests.export.read_kserve import additional_words, asked, entries, read_kserve, rendered

from adaptwin.export.exported import exported
from adaptwin.export.options import ExportOptions, SecretKey


def service_of(adapters, **rest):
    """Export a plan of one server, and return its service."""
    files = exported(plan_by_hand({"gpu-0": dict.fromkeys(adapters, 1.0)}, **rest), "kserve").files
    assert read_kserve(files, ["gpu-0"]).loaded == {"gpu-0": set(adapters)}
    (service,) = of_kind(files, "LLMInferenceService")
    return service


def test_adapters_are_fields_where_kserve_can_express_them():
    artifacts = {"b": "hf://org/b", "c": "s3://bucket/c", "d": "/adapters/team/d"}
    service = service_of(["a", "b", "c", "d", "tenant/chat"], artifacts=artifacts)
    model = service["spec"]["model"]
    assert model["uri"] == f"hf://{LLAMA.model.name}"
    assert {each["name"]: each["uri"] for each in model["lora"]["adapters"]} == {
        "a": "pvc://adapters/a",
        "b": "hf://org/b",
        "c": "s3://bucket/c",
        "d": "pvc://adapters/team/d",
        "tenant/chat": "pvc://adapters/tenant/chat",
    }
    assert (model["lora"]["maxAdapters"], model["lora"]["maxRank"], model["lora"]["maxCpuAdapters"]) == (4, 16, 40)
    words = additional_words(service)
    assert not any(
        word.startswith(("--enable-lora", "--max-lora", "--max-cpu-loras", "--lora-modules")) for word in words
    )


@pytest.mark.parametrize(
    ("adapters", "artifacts"),
    [
        (["two words"], {}),
        (["a"], {"a": "gs://bucket/a"}),
        (["a"], {"a": "/elsewhere/a"}),
        (["a"], {"a": "s3://bucket/some key"}),
        (["a-b", "A.b"], {}),  # one name for two volumes
        (["a" * 60], {}),
    ],
)
def test_adapters_are_flags_where_kserve_cannot_express_one(adapters, artifacts):
    service = service_of(adapters, artifacts=artifacts)
    assert "lora" not in service["spec"]["model"]
    words = additional_words(service)
    assert set(modules_in(words)) == set(adapters)
    assert {"--enable-lora", "--max-loras=4", "--max-lora-rank=16", "--max-cpu-loras=40"} <= set(words)
    mounts = {each["name"] for each in service["spec"]["template"]["containers"][0].get("volumeMounts", [])}
    assert mounts == {each["name"] for each in service["spec"]["template"].get("volumes", [])}


def test_adapters_have_distinct_names_other_than_the_models():
    """What the webhook of KServe checks, besides the schemes of addresses."""
    for plan in (everyday_plan(), hard_plan()):
        for service in of_kind(exported(plan, "kserve").files, "LLMInferenceService"):
            model = service["spec"]["model"]
            names = [model["name"], *(each["name"] for each in model.get("lora", {}).get("adapters", []))]
            assert len(names) == len(set(names))
            assert not {".", ".."} & set(names)
            addresses = [model["uri"], *(each["uri"] for each in model.get("lora", {}).get("adapters", []))]
            assert {urlsplit(address).scheme for address in addresses} <= {"hf", "s3", "pvc"}


def test_names_are_data_to_go_templates_and_to_the_shell():
    names = ["{{ .Spec }}", "{{{{", "`id`", "$(HOME) $$ $HOME", "'; rm -rf /; '"]
    files = exported(plan_by_hand({"{{ 7 }}": dict.fromkeys(names, 1.0)}), "kserve").files
    assert read_kserve(files, ["{{ 7 }}"]).loaded == {"{{ 7 }}": set(names)}
    (service,) = of_kind(files, "LLMInferenceService")
    assert "{{" not in re.sub(re.escape("{{`{{`}}"), "", str(service))
    assert rendered(service["metadata"]["annotations"]["adaptwin/server"]) == "{{ 7 }}"


def test_the_services_that_kserve_makes_have_whole_names():
    server = "a-server-with-a-name-that-is-longer-than-what-kserve-leaves-whole"
    files = exported(plan_by_hand({server: {"a": 1.0}}), "kserve").files
    (service,) = of_kind(files, "LLMInferenceService")
    host = f"{service['metadata']['name']}-kserve-workload-svc"
    assert len(host) <= 63
    assert {urlsplit(entry["litellm_params"]["api_base"]).hostname for entry in entries(files)} == {
        f"{host}.default.svc"
    }


def test_a_merged_model_comes_from_a_folder_of_its_claim():
    files, said = exported(plan_by_hand({"gpu-0": {"merged one": 1.0}}, settings=MERGED), "kserve")
    (service,) = of_kind(files, "LLMInferenceService")
    model = service["spec"]["model"]
    assert re.fullmatch(r"pvc://merged/merged-one-[0-9a-f]{8}", model["uri"])
    assert model["uri"].endswith(model["name"])
    assert {(entry["model_name"], asked(entry)) for entry in entries(files)} == {("merged one", model["name"])}
    assert any(f"'merged one' in {model['name']}" in line for line in said)


def test_a_server_without_adapters_has_no_lora():
    files = exported(plan_by_hand({"gpu-0": {"base": 1.0}}, settings=BASE_ONLY, bases=("base",)), "kserve").files
    (service,) = of_kind(files, "LLMInferenceService")
    assert "lora" not in service["spec"]["model"]
    assert not any("lora" in word for word in additional_words(service))


def test_settings_of_lora_without_a_field_are_flags():
    settings = SETTINGS.model_copy(update={"fully_sharded_loras": True})
    service = service_of(["a"], settings=settings)
    assert "lora" in service["spec"]["model"]
    assert "--fully-sharded-loras" in additional_words(service)


def test_secrets_are_references():
    options = ExportOptions(api_key=SecretKey(name="keys", key="vllm"))
    files = exported(plan_by_hand({"gpu-0": {"a": 1.0}}), "kserve", options).files
    (service,) = of_kind(files, "LLMInferenceService")
    variables = {each["name"]: each for each in service["spec"]["template"]["containers"][0]["env"]}
    assert variables["VLLM_API_KEY"]["valueFrom"]["secretKeyRef"] == {"name": "keys", "key": "vllm"}
    assert {entry["litellm_params"]["api_key"] for entry in entries(files)} == {"os.environ/VLLM_API_KEY"}
