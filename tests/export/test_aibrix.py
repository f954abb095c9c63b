"""aibrix: Deployments, and ModelAdapters that AIBrix loads on the pods whose labels they match."""

import re

import pytest
from tests.export.hard_plans import MERGED, everyday_plan, hard_plan
from tests.export.plans_by_hand import plan_by_hand
from tests.export.read_aibrix import read_aibrix
from tests.export.read_back import of_kind

from adaptwin.export import export
from adaptwin.export.exported import exported
from adaptwin.export.options import ExportOptions, SecretKey

LABEL_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
FALSE_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def adapters_of(plan, options=None):
    files = export(plan, "aibrix", options)
    return {each["metadata"]["annotations"]["adaptwin/adapter"]: each for each in of_kind(files, "ModelAdapter")}


def servers_of(plan, options=None):
    found = of_kind(export(plan, "aibrix", options), "Deployment")
    return {
        server: each for each in found if (server := each["metadata"].get("annotations", {}).get("adaptwin/server"))
    }


def test_a_model_adapter_has_a_name_that_no_service_has():
    """AIBrix makes a Service of the name of each ModelAdapter."""
    files = export(plan_by_hand({"chat": {"chat": 1.0, "adaptwin-router": 1.0}, "0": {"0": 1.0}}), "aibrix")
    adapters = {each["metadata"]["name"] for each in of_kind(files, "ModelAdapter")}
    services = {each["metadata"]["name"] for each in of_kind(files, "Service")}
    assert "chat" in adapters
    assert len(adapters) == len(services) == 3
    assert not adapters & services


def test_a_split_adapter_is_pinned_by_a_label_as_aibrix_ignores_expressions():
    hot = adapters_of(everyday_plan())["hot"]["spec"]
    assert hot["podSelector"] == {
        "matchLabels": {"split.adaptwin/hot": "true", "adapter.model.aibrix.ai/enabled": "true"}
    }
    assert "baseModel" not in hot
    assert not any("matchExpressions" in text for text in export(hard_plan(), "aibrix").values())


def test_without_that_label_it_would_be_on_other_servers_too():
    plan = plan_by_hand({"a": {"hot": 0.5}, "b": {"hot": 0.5}, "c": {"cold": 1.0}})
    files = export(plan, "aibrix")
    assert read_aibrix(files, ["a", "b", "c"]).loaded == {"a": {"hot"}, "b": {"hot"}, "c": {"cold"}}
    files["adapters.yaml"] = files["adapters.yaml"].replace('      split.adaptwin/hot: "true"\n', "")
    with pytest.raises(KeyError, match="'c', 'hot'"):  # nobody asks c for it
        read_aibrix(files, ["a", "b", "c"])


def test_a_model_adapter_is_loaded_on_all_pods_that_match():
    assert all("replicas" not in each["spec"] for each in adapters_of(hard_plan()).values())


def test_labels_of_pods_are_valid():
    for deployment in servers_of(hard_plan()).values():
        for key, value in deployment["spec"]["template"]["metadata"]["labels"].items():
            prefix, _, name = key.rpartition("/")
            assert LABEL_NAME.fullmatch(name)
            assert len(prefix) <= 253
            assert LABEL_NAME.fullmatch(value)


def test_names_of_pods_fit_in_the_annotations_that_aibrix_writes():
    for deployment in servers_of(hard_plan()).values():
        assert len(f"last-retry-time.{deployment['metadata']['name']}-0123456789-abcde") <= 63


@pytest.mark.parametrize("name", ["%{y}", "100%", "a://b"])
def test_a_folder_that_aibrix_would_take_for_a_bad_url_has_another_name(name):
    files, said = exported(plan_by_hand({"gpu-0": {name: 1.0}}), "aibrix")
    (adapter,) = of_kind(files, "ModelAdapter")
    assert adapter["spec"]["artifactURL"] == f"/adapters/{adapter['metadata']['name']}"
    assert any(name in line and adapter["spec"]["artifactURL"] in line for line in said)


def test_a_path_that_aibrix_refuses_is_said():
    artifacts = {"a": "/weights/50%", "b": "./here", "c": "s3://bucket/100%"}
    _, said = exported(plan_by_hand({"gpu-0": dict.fromkeys("abc", 1.0)}, artifacts=artifacts), "aibrix")
    refused = [line for line in said if "refuses that of" in line]
    assert [line.partition("refuses that of ")[2][0] for line in refused] == ["a", "b", "c"]


@pytest.mark.parametrize("plan", [everyday_plan(), hard_plan()], ids=["everyday", "hard"])
def test_artifacts_are_what_aibrix_hands_to_vllm_itself(plan):
    """Without its sidecar, AIBrix passes on paths and repositories of Hugging Face only."""
    for adapter in adapters_of(plan).values():
        url = adapter["spec"]["artifactURL"]
        assert url.startswith(("/", "huggingface://"))
        assert not FALSE_ESCAPE.search(url)
        assert "://" not in url.removeprefix("huggingface://")


def test_servers_listen_where_aibrix_loads_adapters():
    files, said = exported(everyday_plan(), "aibrix", ExportOptions(port=9000))
    (port,) = {each["spec"]["ports"][0]["port"] for each in of_kind(files, "Service")} - {4000}
    assert port == 8000
    assert "--port=8000" in files["servers.yaml"]
    assert "http://gpu-0.default.svc:8000/v1" in files["router.yaml"]
    assert any("9000" in line for line in said)


def test_an_api_key_is_left_to_the_user_as_aibrix_takes_plain_text_only():
    files, said = exported(everyday_plan(), "aibrix", ExportOptions(api_key=SecretKey(name="keys", key="vllm")))
    assert all("additionalConfig" not in each["spec"] for each in of_kind(files, "ModelAdapter"))
    assert any("additionalConfig" in line for line in said)
    assert "VLLM_API_KEY" in files["servers.yaml"]


def test_a_server_is_a_model_of_its_label_and_a_merged_one_takes_no_adapters():
    plan = plan_by_hand({"gpu-0": {"a": 1.0}, "gpu-1": {"-x": 1.0}}, settings={"gpu-1": MERGED})
    servers = servers_of(plan)
    for name, deployment in servers.items():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert labels["model.aibrix.ai/name"] == deployment["metadata"]["labels"]["model.aibrix.ai/name"] == name
        assert f"--served-model-name={name}" in container["args"]
        assert ("adapter.model.aibrix.ai/enabled" in labels) == (name == "gpu-0")
        assert "--lora-modules" not in container["args"]
