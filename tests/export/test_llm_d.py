"""Export to llm-d: a pool of its own for every server, endpoint pickers, and routes of at most 16 rules."""

import json

import pytest
from tests.export.hard_plans import LLAMA, hard_plan
from tests.export.plans_by_hand import plan_by_hand
from tests.export.read_back import of_kind
from tests.export.read_llm_d import read_llm_d

from adaptwin.errors import SpecError
from adaptwin.export.exported import exported
from adaptwin.export.options import ExportOptions, SecretKey

EVEN = {"gpu-0": dict.fromkeys((f"a{i}" for i in range(20)), 1.0), "gpu-1": {f"b{i}": 1.0 for i in range(20)}}


def test_forty_adapters_need_three_routes():
    files = exported(plan_by_hand(EVEN), "llm-d").files
    rules = [route["spec"]["rules"] for route in of_kind(files, "HTTPRoute")]
    assert [len(each) for each in rules] == [16, 16, 8]
    assert all(sum(len(rule["matches"]) for rule in each) <= 128 for each in rules)
    assert [route["metadata"]["name"] for route in of_kind(files, "HTTPRoute")] == [f"adaptwin-{i}" for i in (1, 2, 3)]


@pytest.mark.long
def test_a_rule_takes_the_sixteen_largest_weights():
    shares = {f"gpu-{i}": {"hot": 0.01 if i < 2 else 0.98 / 16} for i in range(18)}
    files, said = exported(plan_by_hand(shares), "llm-d")
    weights = read_llm_d(files, list(shares)).routes["hot"]
    assert set(weights) == {f"gpu-{i}" for i in range(2, 18)}
    assert any(line.startswith("'hot' is on 18 servers and a rule takes 16") for line in said)


def test_every_pool_has_a_picker_that_reads_it():
    files = exported(hard_plan(), "llm-d").files
    services = {each["metadata"]["name"]: each["spec"] for each in of_kind(files, "Service")}
    deployments = {each["metadata"]["name"]: each["spec"] for each in of_kind(files, "Deployment")}
    (account,) = of_kind(files, "ServiceAccount")
    (binding,) = of_kind(files, "RoleBinding")
    (role,) = of_kind(files, "Role")
    assert binding["subjects"][0]["name"] == account["metadata"]["name"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    pools = of_kind(files, "InferencePool")
    assert len(pools) == 6
    for pool in pools:
        picker = pool["spec"]["endpointPickerRef"]
        assert services[picker["name"]]["ports"][0]["port"] == picker["port"]["number"] == 9002
        pod = deployments[picker["name"]]["template"]
        assert pod["metadata"]["labels"] == services[picker["name"]]["selector"]
        assert pod["spec"]["serviceAccountName"] == account["metadata"]["name"]
        arguments = dict(word.split("=", 1) for word in pod["spec"]["containers"][0]["args"])
        assert arguments["--pool-name"] == pool["metadata"]["name"]
        assert json.loads(arguments["--config-text"])["kind"] == "EndpointPickerConfig"


def test_traffic_to_the_base_model_under_another_name_is_rewritten():
    files = exported(plan_by_hand({"gpu-0": {"a": 1.0, "base": 1.0}}, bases=("base",)), "llm-d").files
    (rewrite,) = of_kind(files, "InferenceModelRewrite")
    (rule,) = rewrite["spec"]["rules"]
    assert rule["matches"] == [{"model": {"type": "Exact", "value": "base"}}]
    assert rule["targets"] == [{"modelRewrite": LLAMA.model.name}]
    assert set(read_llm_d(files, ["gpu-0"]).routes) == {"a", "base", LLAMA.model.name}


def test_a_server_named_like_the_picker_of_another_one_is_refused():
    with pytest.raises(SpecError, match="'gpu-0-epp' is what the endpoint picker of 'gpu-0' is called"):
        exported(plan_by_hand({"gpu-0": {"a": 1.0}, "gpu-0-epp": {"b": 1.0}}), "llm-d")


def test_names_that_headers_may_not_carry_are_said():
    said = exported(plan_by_hand({"gpu-0": {"two  spaces": 1.0, "two words": 1.0, "é": 1.0}}), "llm-d").said
    assert any("may not carry 2 of the names, such as 'two  spaces'" in line for line in said)


def test_the_gateway_and_what_it_needs_are_said():
    options = ExportOptions(gateway="mine", namespace="models", api_key=SecretKey(name="keys", key="vllm"))
    files, said = exported(plan_by_hand({"gpu-0": {"a": 1.0}}), "llm-d", options)
    assert {parent["name"] for route in of_kind(files, "HTTPRoute") for parent in route["spec"]["parentRefs"]} == {
        "mine"
    }
    text = "\n".join(said)
    assert all(word in text for word in ("Gateway mine", "models", "body-based routing", "lora-syncer", "API key"))
