"""dynamo: a deployment with a frontend for every server, and DynamoModels that are loaded on one of them."""

import pytest
from tests.export.hard_plans import MERGED, everyday_plan, hard_plan
from tests.export.plans_by_hand import plan_by_hand
from tests.export.read_back import documents, of_kind
from tests.export.read_routes import proxy_entries
from tests.export.schemas import problems_of_object

from adaptwin.export import export
from adaptwin.export.exported import exported
from adaptwin.export.options import ExportOptions, SecretKey


def graphs_of(plan, options=None):
    return of_kind(export(plan, "dynamo", options), "DynamoGraphDeployment")


def worker_of(graph):
    (container,) = graph["spec"]["components"][1]["podTemplate"]["spec"]["containers"]
    return container


@pytest.mark.parametrize("plan", [everyday_plan(), hard_plan()], ids=["everyday", "hard"])
def test_pods_are_valid(plan):
    """The schema of DynamoGraphDeployment leaves pods open; Kubernetes' own does not."""
    labels = {"app": "x"}
    for graph in graphs_of(plan):
        for component in graph["spec"]["components"]:
            template = {"metadata": {"labels": labels}, **component["podTemplate"]}
            spec = {"selector": {"matchLabels": labels}, "template": template}
            pod = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": spec}
            assert problems_of_object(pod) == []
            (container,) = template["spec"]["containers"]
            assert container["name"] == "main"


def test_each_server_has_a_reference_of_its_own_and_every_model_has_one_of_them():
    files = export(hard_plan(), "dynamo")
    references = [
        graph["spec"]["components"][1]["modelRef"]["name"] for graph in of_kind(files, "DynamoGraphDeployment")
    ]
    assert len(references) == len(set(references)) == 6
    assert {each["spec"]["baseModelName"] for each in of_kind(files, "DynamoModel")} <= set(references)
    assert {each["spec"]["modelType"] for each in of_kind(files, "DynamoModel")} == {"lora"}


def test_names_fit_into_those_of_grove():
    for graph in graphs_of(hard_plan()):
        for component in graph["spec"]["components"]:
            assert len(graph["metadata"]["name"]) + len(component["name"]) <= 45


@pytest.mark.parametrize("name", ["merged one", "a,b", "a, b"])
def test_a_merged_adapter_that_dynamo_takes_for_several_is_served_under_the_servers_label(name):
    files, said = exported(plan_by_hand({"gpu-0": {name: 1.0}}, settings=MERGED), "dynamo")
    (graph,) = of_kind(files, "DynamoGraphDeployment")
    assert worker_of(graph)["args"][:2] == [f"--model=/merged/{name}", "--served-model-name=gpu-0"]
    (entry,) = proxy_entries(files)
    assert entry["model_name"] == name
    assert entry["litellm_params"]["model"] == "hosted_vllm/gpu-0"
    assert any(name in line and "gpu-0" in line for line in said)


def test_a_frontend_reads_the_tokenizer_of_a_merged_model():
    (graph,) = graphs_of(plan_by_hand({"gpu-0": {"only": 1.0}}, settings=MERGED))
    for component in graph["spec"]["components"]:
        (container,) = component["podTemplate"]["spec"]["containers"]
        assert container["volumeMounts"] == [{"name": "merged", "mountPath": "/merged", "readOnly": True}]


def test_dynamo_copies_what_it_can_and_containers_copy_the_rest():
    artifacts = {"s3": "s3://bucket/key", "odd": "s3://bucket/a key", "gs": "gs://bucket/k", "hf": "org/name"}
    files = export(
        plan_by_hand({"gpu-0": {**dict.fromkeys(artifacts, 1.0), "own": 1.0}}, artifacts=artifacts), "dynamo"
    )
    sources = {each["spec"]["modelName"]: each["spec"]["source"]["uri"] for each in of_kind(files, "DynamoModel")}
    assert sources == {
        "s3": "s3://bucket/key",
        "odd": "file:///downloads/s3/bucket/a key",
        "gs": "file:///downloads/gs/bucket/k",
        "hf": "hf://org/name",
        "own": "file:///adapters/own",
    }
    (graph,) = of_kind(files, "DynamoGraphDeployment")
    pod = graph["spec"]["components"][1]["podTemplate"]["spec"]
    assert [each["args"][0] for each in pod["initContainers"]] == ["s3://bucket/a key", "gs://bucket/k"]
    assert worker_of(graph)["envFrom"] == [{"secretRef": {"name": "storage-credentials", "optional": True}}]


def test_shared_memory_is_left_to_the_operator():
    assert "/dev/shm" not in export(hard_plan(), "dynamo")["servers.yaml"]  # noqa: S108 - a folder that is not used


@pytest.mark.parametrize(
    ("image", "override"),
    [(None, None), ("host:5000/runtime:1.7.0", None), ("runtime:my-build", "1.6.1"), ("runtime@sha256:12", "1.6.1")],
)
def test_the_version_is_said_where_the_tag_does_not_say_it(image, override):
    for graph in graphs_of(everyday_plan(), ExportOptions(image=image)):
        for component in graph["spec"]["components"]:
            assert component.get("runtimeVersionOverride") == override


def test_the_version_of_vllm_in_the_image_is_said_unless_an_image_is_given():
    _, said = exported(everyday_plan(), "dynamo")
    assert any("vLLM 0.31.0, and the plan is for 0.8.5" in line for line in said)
    _, said = exported(everyday_plan(), "dynamo", ExportOptions(image="runtime:1.7.0"))
    assert not any("0.31.0" in line for line in said)


def test_frontends_have_their_own_port_and_ask_for_no_key():
    options = ExportOptions(port=9000, api_key=SecretKey(name="keys", key="vllm"))
    files, said = exported(everyday_plan(), "dynamo", options)
    assert {entry["litellm_params"]["api_base"] for entry in proxy_entries(files)} == {
        "http://gpu-0-frontend.default.svc:8000/v1",
        "http://gpu-1-frontend.default.svc:8000/v1",
    }
    assert not any("VLLM_API_KEY" in text for text in files.values())
    assert any("9000" in line for line in said)
    assert any("API key" in line for line in said)


def test_an_argument_is_not_expanded_by_kubernetes():
    (graph,) = graphs_of(plan_by_hand({"gpu-0": {"$(HOME)": 1.0}}, settings=MERGED))
    assert worker_of(graph)["args"][:2] == ["--model=/merged/$$(HOME)", "--served-model-name=$$(HOME)"]
    files = export(plan_by_hand({"gpu-0": {"$(HOME)": 1.0}}), "dynamo")
    (model,) = documents(files["adapters.yaml"])
    assert model["spec"]["modelName"] == "$(HOME)"
