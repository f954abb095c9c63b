"""Export to Envoy AI Gateway: routes of at most 15 rules, and what its API server checks beyond the schema."""

import pytest
from tests.export.hard_plans import LLAMA, hard_plan
from tests.export.plans_by_hand import plan_by_hand
from tests.export.read_back import of_kind
from tests.export.schemas import problems_of_object

from adaptwin.errors import SpecError
from adaptwin.export.exported import exported
from adaptwin.export.options import ExportOptions, SecretKey

STACK = "envoy-ai-gateway"


def endpoints(url):
    files = exported(plan_by_hand({"gpu-0": {"a": 1.0}}), STACK, ExportOptions(urls={"gpu-0": url})).files
    (backend,) = of_kind(files, "Backend")
    (service,) = of_kind(files, "AIServiceBackend")
    assert problems_of_object(backend) == problems_of_object(service) == []
    (endpoint,) = backend["spec"]["endpoints"]
    return endpoint, service["spec"]["schema"].get("prefix")


def test_forty_adapters_need_three_routes():
    shares = {f"gpu-{i}": {f"{i}-{j}": 1.0 for j in range(20)} for i in range(2)}
    files = exported(plan_by_hand(shares), STACK).files
    assert [len(route["spec"]["rules"]) for route in of_kind(files, "AIGatewayRoute")] == [15, 15, 10]


def test_references_are_of_the_kinds_that_the_api_server_accepts():
    """The rules of CEL: parents are Gateways, a rule's backends AIServiceBackends, and theirs Backends."""
    files = exported(hard_plan(), STACK).files
    for route in of_kind(files, "AIGatewayRoute"):
        assert {parent["kind"] for parent in route["spec"]["parentRefs"]} == {"Gateway"}
        assert all(
            {"group", "kind"}.isdisjoint(each) for rule in route["spec"]["rules"] for each in rule["backendRefs"]
        )
    for backend in of_kind(files, "AIServiceBackend"):
        assert backend["spec"]["backendRef"]["kind"] == "Backend"
        assert backend["spec"]["backendRef"]["group"] == "gateway.envoyproxy.io"


def test_traffic_to_the_base_model_under_another_name_is_asked_for_as_the_base_model():
    files = exported(plan_by_hand({"gpu-0": {"a": 1.0, "base": 1.0}}, bases=("base",)), STACK).files
    (route,) = of_kind(files, "AIGatewayRoute")
    asked = {
        rule["matches"][0]["headers"][0]["value"]: rule["backendRefs"][0].get("modelNameOverride")
        for rule in route["spec"]["rules"]
    }
    assert asked == {"a": None, "base": LLAMA.model.name, LLAMA.model.name: None}


@pytest.mark.parametrize(
    ("url", "endpoint", "prefix"),
    [
        ("http://vllm-a:8001/v1", {"fqdn": {"hostname": "vllm-a", "port": 8001}}, None),
        ("https://Models.example.com/v1/", {"fqdn": {"hostname": "models.example.com", "port": 443}}, None),
        ("http://models.example.com/a/v1", {"fqdn": {"hostname": "models.example.com", "port": 80}}, "/a/v1"),
        ("10.0.0.7:8000", {"ip": {"address": "10.0.0.7", "port": 8000}}, None),
        ("http://[::1]:8000", {"ip": {"address": "::1", "port": 8000}}, None),
    ],
)
def test_addresses_may_be_given(url, endpoint, prefix):
    assert endpoints(url) == (endpoint, prefix)


@pytest.mark.parametrize("url", ["unix:///run/vllm.sock", "http://", "http://a b:8000", "http://vllm:port"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(SpecError, match="is no address of a server"):
        endpoints(url)


def test_the_api_key_is_sent_by_policies_that_name_its_secret():
    shares = {f"gpu-{i}": {f"a{i}": 1.0} for i in range(17)}
    options = ExportOptions(api_key=SecretKey(name="keys", key="apiKey"))
    files, said = exported(plan_by_hand(shares), STACK, options)
    policies = of_kind(files, "BackendSecurityPolicy")
    assert [problems_of_object(policy) for policy in policies] == [[], []]
    assert [len(policy["spec"]["targetRefs"]) for policy in policies] == [16, 1]
    assert {policy["spec"]["apiKey"]["secretRef"]["name"] for policy in policies} == {"keys"}
    assert any("under the key apiKey of the secret keys" in line for line in said)


def test_tls_is_said():
    options = ExportOptions(urls={"gpu-0": "https://models.example.com"})
    said = exported(plan_by_hand({"gpu-0": {"a": 1.0}}), STACK, options).said
    assert any("BackendTLSPolicy" in line for line in said)
    assert not any("export to kubernetes makes" in line for line in said)
