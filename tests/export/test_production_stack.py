"""production-stack: values of its Helm chart, and LoraAdapters that its controller keeps where they are planned."""

import json

import pytest
from tests.export.hard_plans import LLAMA, MERGED, SETTINGS, everyday_plan, hard_plan
from tests.export.plans_by_hand import plan_by_hand
from tests.export.read_back import documents, of_kind
from tests.export.read_production_stack import read_production_stack
from tests.export.schemas import SCHEMAS, problems_of

from adaptwin.errors import SpecError
from adaptwin.export import export
from adaptwin.export.exported import exported
from adaptwin.export.names import dns_label
from adaptwin.export.options import ExportOptions, SecretKey

KEYS = set(json.loads((SCHEMAS / "production-stack" / "values-keys.json").read_text(encoding="utf-8")))
OPEN = {  # objects and lists whose inside is that of Kubernetes
    "servingEngineSpec.strategy",
    *(
        f"servingEngineSpec.modelSpec[].{name}"
        for name in (
            "annotations", "podAnnotations", "resources", "env", "envFromSecret", "nodeSelectorTerms", "extraVolumes",
            "extraVolumeMounts", "initContainer.extraVolumeMounts",
        )
    ),
}  # fmt: skip


def values_of(plan, options=None):
    (values,) = documents(export(plan, "production-stack", options)["values.yaml"])
    return values


def models_of(plan, options=None):
    return values_of(plan, options)["servingEngineSpec"]["modelSpec"]


def unknown_keys(value, path=""):
    """Return the keys of values that the chart does not know."""
    if isinstance(value, list):
        return [key for part in value for key in unknown_keys(part, f"{path}[]")]
    if not isinstance(value, dict) or path in OPEN:
        return []
    found = []
    for key, part in value.items():
        inner = f"{path}.{key}" if path else key
        found += [inner] if inner not in KEYS else unknown_keys(part, inner) if inner not in OPEN else []
    return found


@pytest.mark.parametrize("plan", [everyday_plan(), hard_plan()], ids=["everyday", "hard"])
def test_values_have_only_keys_and_types_of_the_chart(plan):
    assert problems_of(values_of(plan), "production-stack/values") == []
    assert unknown_keys(values_of(plan)) == []


def test_a_misspelt_key_would_be_found():
    values = values_of(everyday_plan())
    values["servingEngineSpec"]["modelSpec"][0]["vllmConfig"]["maxLora"] = 4
    assert unknown_keys(values) == ["servingEngineSpec.modelSpec[].vllmConfig.maxLora"]


def test_helm_sees_no_name_of_an_adapter():
    text = export(plan_by_hand({"gpu-0": {"{{ .Values.secret }}": 1.0, "chat": 1.0}}), "production-stack")[
        "values.yaml"
    ]
    assert not any("secret }}" in line or "chat" in line for line in text.splitlines() if not line.startswith("#"))


@pytest.mark.parametrize("name", ["yes", "null", "off", "y"])
def test_a_server_named_as_what_yaml_takes_for_no_text_gets_another_label(name):
    """The chart writes labels without quotes."""
    (model,) = models_of(plan_by_hand({name: {"chat": 1.0}}))
    assert model["name"].startswith(f"{name}-")
    assert model["annotations"]["adaptwin/server"] == name


def test_a_number_that_helm_would_print_with_an_exponent_is_an_argument():
    settings = SETTINGS.model_copy(update={"max_model_len": 1_048_576})
    model_card = LLAMA.model.model_copy(update={"max_position_embeddings": 1_048_576})
    long = LLAMA.model_copy(update={"model": model_card})
    plan = plan_by_hand({"gpu-0": {"chat": 1.0}}, profiles=(long,), settings=settings)
    (model,) = models_of(plan)
    assert "maxModelLen" not in model["vllmConfig"]
    assert "--max-model-len=1048576" in model["vllmConfig"]["extraArgs"]


def test_prefix_caching_is_as_planned_and_every_server_has_shared_memory():
    for model in models_of(hard_plan()):
        assert model["vllmConfig"]["enablePrefixCaching"] is True
        assert model["vllmConfig"]["tensorParallelSize"] >= 1


def test_a_split_adapter_has_a_name_of_its_own_on_each_server():
    """The controller unloads a name from all servers but those of one LoraAdapter."""
    files, said = exported(everyday_plan(), "production-stack")
    hot = [
        each["spec"]
        for each in of_kind(files, "LoraAdapter")
        if each["metadata"]["annotations"]["adaptwin/adapter"] == "hot"
    ]
    assert [spec["adapterSource"]["adapterName"] for spec in hot] == ["hot@gpu-0", "hot@gpu-1"]
    assert {spec["adapterSource"]["adapterPath"] for spec in hot} == {"/adapters/hot"}
    assert any("hot@gpu-0" in line for line in said)


def test_one_name_for_both_would_lose_the_adapter_on_a_server():
    """The reader plays the controller, which unloads what another LoraAdapter of the same name has loaded."""
    files = export(everyday_plan(), "production-stack")
    same = {name: text.replace("hot@gpu-0", "hot").replace("hot@gpu-1", "hot") for name, text in files.items()}
    with pytest.raises(AssertionError):
        read_production_stack(same, ["gpu-0", "gpu-1"])


def test_two_adapters_that_would_have_one_name_are_refused():
    plan = plan_by_hand({"a": {"hot": 0.5, "hot@a": 1.0}, "b": {"hot": 0.5}})
    with pytest.raises(SpecError, match="hot@a"):
        export(plan, "production-stack")


def test_one_init_container_copies_from_both_clouds():
    artifacts = {"s3": "s3://bucket/a key", "gs": "gs://bucket/$(B)"}
    plan = plan_by_hand({"gpu-0": {"s3": 1.0, "gs": 1.0}}, artifacts=artifacts)
    files, said = exported(plan, "production-stack", ExportOptions(storage_secret="cloud"))  # noqa: S106 - the name of a secret
    (model,) = documents(files["values.yaml"])[0]["servingEngineSpec"]["modelSpec"]
    assert "cloud-sdk" in model["initContainer"]["image"]
    assert model["initContainer"]["args"] == [
        "s3://bucket/a key", "/downloads/s3/bucket/a key", "gs://bucket/$$(B)", "/downloads/gs/bucket/$$(B)",
    ]  # fmt: skip
    assert model["envFromSecret"] == {"name": "cloud"}
    assert any("secret cloud" in line for line in said)
    paths = [each["spec"]["adapterSource"]["adapterPath"] for each in of_kind(files, "LoraAdapter")]
    assert paths == ["/downloads/s3/bucket/a key", "/downloads/gs/bucket/$(B)"]


def test_a_repository_needs_neither_sidecar_nor_secret_as_its_path_is_given():
    (adapter,) = of_kind(
        export(plan_by_hand({"gpu-0": {"chat": 1.0}}, artifacts={"chat": "hf://org/chat"}), "production-stack"),
        "LoraAdapter",
    )
    assert adapter["spec"]["adapterSource"] == {
        "type": "huggingface", "adapterName": "chat", "adapterPath": "org/chat", "repository": "org/chat",
    }  # fmt: skip


def test_secrets_are_named_and_never_written():
    options = ExportOptions(api_key=SecretKey(name="keys", key="vllm"), hf_token=SecretKey(name="hub", key="read"))
    files = export(plan_by_hand({"gpu-0": {"chat": 1.0}}), "production-stack", options)
    (model,) = documents(files["values.yaml"])[0]["servingEngineSpec"]["modelSpec"]
    references = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in model["env"] if "valueFrom" in each}
    assert references["VLLM_API_KEY"] == {"name": "keys", "key": "vllm"}
    assert references["HF_TOKEN"] == {"name": "hub", "key": "read", "optional": True}
    (adapter,) = of_kind(files, "LoraAdapter")
    assert adapter["spec"]["vllmApiKey"] == {"secretName": "keys", "secretKey": "vllm"}


@pytest.mark.parametrize(
    ("image", "repository", "tag"),
    [
        (None, "vllm/vllm-openai", "v0.8.5"),
        ("host:5000/vllm", "host:5000/vllm", "latest"),
        ("host:5000/vllm:v1", "host:5000/vllm", "v1"),
        ("vllm@sha256:12ab", "vllm@sha256", "12ab"),
    ],
)
def test_an_image_is_cut_where_the_chart_puts_it_together(image, repository, tag):
    (model,) = models_of(plan_by_hand({"gpu-0": {"chat": 1.0}}), ExportOptions(image=image))
    assert (model["repository"], model["tag"]) == (repository, tag)


def test_names_of_the_charts_objects_are_labels():
    """The chart makes adaptwin-NAME-engine-service, and a host name that ends in its own name."""
    for model in models_of(hard_plan()):
        assert len(f"adaptwin-{model['name']}-engine-service") <= 63
        assert len(f"adaptwin-{model['name']}-vllm-stack") <= 63


def test_the_port_is_that_of_server_service_and_probes():
    engine = values_of(everyday_plan(), ExportOptions(port=9000))["servingEngineSpec"]
    assert engine["containerPort"] == engine["servicePort"] == 9000
    assert {engine[f"{name}Probe"]["httpGet"]["port"] for name in ("startup", "liveness", "readiness")} == {9000}


def test_servers_of_other_gpus_have_nodes_of_their_own():
    other = LLAMA.model_copy(update={"name": "other", "hardware": "another GPU"})
    plan = plan_by_hand({"gpu-0": {"a": 1.0}, "gpu-1": {"b": 1.0}}, profiles=(LLAMA, other))
    rules = [model["nodeSelectorTerms"][0]["matchExpressions"] for model in models_of(plan)]
    assert rules == [
        [{"key": "adaptwin/profile", "operator": "In", "values": [dns_label(name)]}] for name in (LLAMA.name, "other")
    ]
    assert all("nodeSelectorTerms" not in model for model in models_of(everyday_plan()))


def test_a_plan_without_adapters_to_load_has_no_file_of_them_and_no_controller():
    plan = plan_by_hand({"gpu-0": {"only": 1.0}}, settings=MERGED)
    files = export(plan, "production-stack")
    assert sorted(files) == ["router.yaml", "values.yaml"]
    (values,) = documents(files["values.yaml"])
    assert values["loraController"] == {"enableLoraController": False}
    (model,) = values["servingEngineSpec"]["modelSpec"]
    assert (model["modelURL"], model["enableLoRA"]) == ("/merged/only", False)


def test_forty_adapters_are_forty_objects():
    plan = plan_by_hand({"gpu-0": {f"tenant-{i}": 1.0 for i in range(40)}})
    assert len(of_kind(export(plan, "production-stack"), "LoraAdapter")) == 40
