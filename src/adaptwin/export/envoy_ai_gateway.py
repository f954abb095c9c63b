"""Export to Envoy AI Gateway: routes by model name to servers that run already, with exact weights."""

import ipaddress
import re
from collections.abc import Sequence
from typing import NamedTuple

from adaptwin.errors import SpecError
from adaptwin.export.gateway_rules import LONGEST_REQUEST, GatewayRule, batches_of_rules, gateway_rules, said_of_gateway
from adaptwin.export.kubernetes import LONGEST_DEPLOYMENT_NAME, server_metadata
from adaptwin.export.names import distinct_labels
from adaptwin.export.options import ExportOptions, SecretKey
from adaptwin.export.serving_plan import Destination, ServedServer, ServingPlan
from adaptwin.export.stack import Stack, Written
from adaptwin.export.standing_by import said_of_standbys
from adaptwin.export.yaml_text import Manifest
from adaptwin.visible import quoted

MODEL_HEADER = "x-ai-eg-model"  # set by the gateway from the body of a request
MOST_AI_RULES = 15  # of an AIGatewayRoute
_AI_GROUP = "aigateway.envoyproxy.io"
_MOST_TARGETS = 16  # of a BackendSecurityPolicy
_SERVER_URL = re.compile(
    r"(?:(https?)://)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?)(?::([0-9]{1,5}))?(/.*)?"
)


class _ServerAddress(NamedTuple):
    """Where a server answers."""

    host: str
    port: int
    path: str  # before /v1; empty for most servers


def envoy_ai_gateway_manifests(serving: ServingPlan, options: ExportOptions) -> Written:
    """Return a Backend and an AIServiceBackend for every server, and AIGatewayRoutes with the weights of the plan."""
    labels = distinct_labels((server.name for server in serving.servers), LONGEST_DEPLOYMENT_NAME)
    backends = [
        document for server in serving.servers for document in _ai_backends(server, labels[server.name], options)
    ]
    policies = _key_policies(list(labels.values()), options.api_key, options) if options.api_key else []
    routes = [
        _ai_route(number, rules, labels, options)
        for number, rules in enumerate(batches_of_rules(gateway_rules(serving), MOST_AI_RULES), start=1)
    ]
    return Written(
        {"backends.yaml": [*backends, *policies], "routes.yaml": routes}, _said_of_ai_gateway(serving, labels, options)
    )


def _ai_address(server: ServedServer, label: str, options: ExportOptions) -> _ServerAddress:
    """Return the address of a server: the one given, or that of its Service in the export to Kubernetes."""
    service = f"http://{label}.{options.namespace}.svc.cluster.local:{options.port}"
    url = options.urls.get(server.name, service)
    if not (parts := _SERVER_URL.fullmatch(url)):
        raise SpecError(f"{quoted(url)} is no address of a server, such as {service}", f"urls.{server.name}")
    is_secure = parts[1] == "https"
    port = int(parts[3]) if parts[3] else 443 if is_secure else 80
    return _ServerAddress(parts[2].strip("[]").lower(), port, (parts[4] or "").rstrip("/").removesuffix("/v1"))


def _ai_backends(server: ServedServer, label: str, options: ExportOptions) -> tuple[Manifest, Manifest]:
    metadata = server_metadata(server, label, options)
    address = _ai_address(server, label, options)
    return (
        {
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "Backend",
            "metadata": metadata,
            "spec": {"endpoints": [_ai_endpoint(address)]},
        },
        {
            "apiVersion": f"{_AI_GROUP}/v1beta1",
            "kind": "AIServiceBackend",
            "metadata": metadata,
            "spec": {
                "schema": {"name": "OpenAI", **({"prefix": f"{address.path}/v1"} if address.path else {})},
                "backendRef": {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": label},
            },
        },
    )


def _ai_endpoint(address: _ServerAddress) -> Manifest:
    try:
        return {"ip": {"address": str(ipaddress.ip_address(address.host)), "port": address.port}}
    except ValueError:
        return {"fqdn": {"hostname": address.host, "port": address.port}}


def _ai_route(number: int, rules: Sequence[GatewayRule], labels: dict[str, str], options: ExportOptions) -> Manifest:
    return {
        "apiVersion": f"{_AI_GROUP}/v1beta1",
        "kind": "AIGatewayRoute",
        "metadata": _numbered_metadata(number, options),
        "spec": {
            "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": options.gateway}],
            "rules": [
                {
                    "matches": [{"headers": rule.headers(MODEL_HEADER)}],
                    "backendRefs": [_ai_reference(rule.name, place, labels) for place in rule.places],
                    "timeouts": {"request": LONGEST_REQUEST},
                }
                for rule in rules
            ],
        },
    }


def _ai_reference(name: str, place: Destination, labels: dict[str, str]) -> Manifest:
    override = {"modelNameOverride": place.model} if place.model != name else {}
    return {"name": labels[place.server.name], **override, "weight": place.weight}


def _key_policies(labels: Sequence[str], api_key: SecretKey, options: ExportOptions) -> list[Manifest]:
    """Return the policies by which the gateway sends the API key to the servers."""
    batches = [labels[start : start + _MOST_TARGETS] for start in range(0, len(labels), _MOST_TARGETS)]
    return [
        {
            "apiVersion": f"{_AI_GROUP}/v1beta1",
            "kind": "BackendSecurityPolicy",
            "metadata": _numbered_metadata(number, options),
            "spec": {
                "type": "APIKey",
                "apiKey": {"secretRef": {"name": api_key.name}},
                "targetRefs": [{"group": _AI_GROUP, "kind": "AIServiceBackend", "name": label} for label in batch],
            },
        }
        for number, batch in enumerate(batches, start=1)
    ]


def _numbered_metadata(number: int, options: ExportOptions) -> Manifest:
    labels = {"app.kubernetes.io/managed-by": "adaptwin"}
    return {"name": f"adaptwin-{number}", "namespace": options.namespace, "labels": labels}


def _said_of_ai_gateway(serving: ServingPlan, labels: dict[str, str], options: ExportOptions) -> list[str]:
    said = [
        "Envoy AI Gateway routes only: start the servers with another export, such as kubernetes.",
        *said_of_standbys(serving, "Start a failed server again there"),
        *said_of_gateway(serving, options),
    ]
    if assumed := [label for name, label in labels.items() if name not in options.urls]:
        said.append(
            f"Addresses of {len(assumed)} servers are those of the Services that the export to kubernetes makes, such "
            f"as {assumed[0]}.{options.namespace}.svc.cluster.local: give others by url."
        )
    if secure := [name for name, url in options.urls.items() if url.startswith("https://")]:
        said.append(f"{quoted(secure[0])} is asked by TLS: add a BackendTLSPolicy for the Backend of each such server.")
    if options.api_key:
        said.append(f"Envoy AI Gateway reads the API key under the key apiKey of the secret {options.api_key.name}.")
    return said


ENVOY_AI_GATEWAY = Stack(
    title="Envoy AI Gateway: a router",
    version="v1beta1 of Envoy AI Gateway 1.1",
    pins="a rule for each adapter in an `AIGatewayRoute`, which names the `AIServiceBackend`s of its servers",
    weights="exact: `weight` of `backendRefs`",
    merged="a rule that leads to the merged model's server",
    names="servers become DNS labels of at most 52 characters; adapters keep their names",
    write=envoy_ai_gateway_manifests,
)
