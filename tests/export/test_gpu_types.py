"""Export of plans that mix types of GPUs: each server runs on nodes with its own type, in each stack's words."""

import pytest
import yaml
from tests.export.hard_plans import LLAMA, SETTINGS
from tests.export.read_back import of_kind

from adaptwin import Adapter, Plan, Workload
from adaptwin.export.exported import exported
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer

OTHER = LLAMA.model_copy(update={"name": "other-gpu", "hardware": "another GPU"})
NODES = {"gpu-0": "h100-64gb-llama-3-1-8b-instruct-41da41b5", "gpu-1": "other-gpu"}


@pytest.fixture
def plan():
    """Return a plan of two servers with different GPUs."""
    return Plan(
        PlanOptions(strategy="by hand"),
        7,
        lower_bound=1,
        servers=[
            PlacedServer(f"gpu-{i}", profile.name, SETTINGS, {f"a{i}": 1.0}) for i, profile in enumerate((LLAMA, OTHER))
        ],
        profiles=[LLAMA, OTHER],
        workload=Workload([Adapter("a0", 8, 1.0), Adapter("a1", 8, 1.0)], duration=300.0),
    )


def test_services_of_kserve_select_nodes(plan):
    files, said = exported(plan, "kserve")
    found = {each["metadata"]["name"]: each["spec"]["template"] for each in of_kind(files, "LLMInferenceService")}
    assert {name: pod["nodeSelector"]["adaptwin/profile"] for name, pod in found.items()} == NODES
    assert any("Nodes with another GPU: label them adaptwin/profile=other-gpu" in line for line in said)


def test_resource_profiles_of_kubeai_select_nodes(plan):
    files, said = exported(plan, "kubeai")
    profiles = yaml.safe_load(files["kubeai-values.yaml"])["resourceProfiles"]
    assert {name: profile["nodeSelector"] for name, profile in profiles.items()} == {
        node: {"adaptwin/profile": node} for node in NODES.values()
    }
    named = {each["metadata"]["name"]: each["spec"]["resourceProfile"] for each in of_kind(files, "Model")}
    assert named == {server: f"{node}:1" for server, node in NODES.items()}
    assert any("Nodes with another GPU" in line for line in said)


def test_deployments_of_llm_d_select_nodes(plan):
    files, said = exported(plan, "llm-d")
    found = {each["metadata"]["name"]: each["spec"]["template"]["spec"] for each in of_kind(files, "Deployment")}
    assert {name: found[name]["nodeSelector"]["adaptwin/profile"] for name in NODES} == NODES
    assert any("Nodes with another GPU" in line for line in said)
