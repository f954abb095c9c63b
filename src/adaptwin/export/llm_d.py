"""Export to llm-d: a Deployment and an InferencePool for every server, and HTTPRoutes with the weights of the plan."""

from collections.abc import Iterator, Sequence

from adaptwin.export.cluster_objects import NAME_LABEL
from adaptwin.export.container import said_of_weights
from adaptwin.export.gateway_rules import LONGEST_REQUEST, GatewayRule, batches_of_rules, gateway_rules, said_of_gateway
from adaptwin.export.kubernetes import LONGEST_DEPLOYMENT_NAME, server_deployment, server_metadata
from adaptwin.export.llm_d_pickers import PICKER_PORT, PICKER_SUFFIX, picker_manifests, require_free_names
from adaptwin.export.names import distinct_labels
from adaptwin.export.options import ExportOptions
from adaptwin.export.placement_rules import said_of_gpu_types
from adaptwin.export.serving_plan import ServedServer, ServingPlan
from adaptwin.export.stack import Stack, Written
from adaptwin.export.standing_by import said_of_standbys
from adaptwin.export.yaml_text import Manifest

MODEL_IN_HEADER = "X-Gateway-Model-Name"  # set by body-based routing from the body of a request
MOST_ROUTE_RULES = 16  # of an HTTPRoute
_POOL_GROUP = "inference.networking.k8s.io"


def llm_d_manifests(serving: ServingPlan, options: ExportOptions) -> Written:
    """Return Deployments, InferencePools with their endpoint pickers, and HTTPRoutes."""
    labels = distinct_labels((server.name for server in serving.servers), LONGEST_DEPLOYMENT_NAME - len(PICKER_SUFFIX))
    require_free_names(labels)
    servers = [
        document
        for server in serving.servers
        for document in _server_documents(server, labels[server.name], serving, options)
    ]
    pickers = picker_manifests(labels.values(), options)
    routes = [
        _http_route(number, rules, labels, options)
        for number, rules in enumerate(batches_of_rules(gateway_rules(serving), MOST_ROUTE_RULES), start=1)
    ]
    files: dict[str, str | list[Manifest]] = {"servers.yaml": servers, "pickers.yaml": pickers, "routes.yaml": routes}
    return Written(files, _said_of_llm_d(serving, options))


def _server_documents(
    server: ServedServer, label: str, serving: ServingPlan, options: ExportOptions
) -> Iterator[Manifest]:
    yield server_deployment(server, label, serving, options)
    yield _pool(server, label, options)
    if names := [name for name in server.base_names if name != server.base_model]:
        yield _rewrite(server, label, names, options)


def _pool(server: ServedServer, label: str, options: ExportOptions) -> Manifest:
    """Return the pool of a server, which is its only member."""
    return {
        "apiVersion": f"{_POOL_GROUP}/v1",
        "kind": "InferencePool",
        "metadata": server_metadata(server, label, options),
        "spec": {
            "selector": {"matchLabels": {NAME_LABEL: label}},
            "targetPorts": [{"number": options.port}],
            "endpointPickerRef": {
                "name": f"{label}{PICKER_SUFFIX}",
                "port": {"number": PICKER_PORT},
                "failureMode": "FailOpen",  # without its picker, a pool of one server still has only one choice
            },
        },
    }


def _rewrite(server: ServedServer, label: str, names: Sequence[str], options: ExportOptions) -> Manifest:
    """Return the object by which a server is asked for its base model where a request has another name for it."""
    return {
        "apiVersion": "llm-d.ai/v1alpha2",
        "kind": "InferenceModelRewrite",
        "metadata": server_metadata(server, label, options),
        "spec": {
            "poolRef": {"name": label},
            "rules": [
                {
                    "matches": [{"model": {"type": "Exact", "value": name}} for name in names],
                    "targets": [{"modelRewrite": server.base_model}],
                }
            ],
        },
    }


def _http_route(number: int, rules: Sequence[GatewayRule], labels: dict[str, str], options: ExportOptions) -> Manifest:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": f"adaptwin-{number}",
            "namespace": options.namespace,
            "labels": {"app.kubernetes.io/managed-by": "adaptwin"},
        },
        "spec": {
            "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": options.gateway}],
            "rules": [_http_rule(rule, labels) for rule in rules],
        },
    }


def _http_rule(rule: GatewayRule, labels: dict[str, str]) -> Manifest:
    return {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}, "headers": rule.headers(MODEL_IN_HEADER)}],
        "backendRefs": [
            {"group": _POOL_GROUP, "kind": "InferencePool", "name": labels[place.server.name], "weight": place.weight}
            for place in rule.places
        ],
        "timeouts": {"request": LONGEST_REQUEST},
    }


def _said_of_llm_d(serving: ServingPlan, options: ExportOptions) -> list[str]:
    said = [
        *said_of_weights(serving.servers, options),
        *said_of_gpu_types(serving),
        *said_of_standbys(serving, "Kubernetes starts a failed server again where GPUs are free"),
        "Servers load their adapters by --lora-modules: the lora-syncer sidecar has left its project.",
        "Install the resources of Gateway API, InferencePool v1 and llm-d's InferenceModelRewrite v1alpha2.",
        *said_of_gateway(serving, options),
        f"Install body-based routing for the Gateway: it copies a request's model to the header {MODEL_IN_HEADER}.",
        "The Gateway must divide requests among InferencePools by weight, which not every one does.",
        "A Gateway of Istio needs a DestinationRule for each picker's Service: TLS mode SIMPLE, insecureSkipVerify.",
    ]
    if options.api_key:
        said.append("The servers ask for an API key, which the Gateway does not add: clients must send it.")
    return said


LLM_D = Stack(
    title="llm-d: pools of an inference gateway",
    version="llm-d router 0.10, InferencePool v1, HTTPRoute v1",
    pins="`--lora-modules` of each server's Deployment, and an `InferencePool` for it alone",
    weights="exact where the Gateway has weighted pools: `weight` of `backendRefs`",
    merged="a Deployment and a pool of the merged model, under the adapter's name",
    names="servers become DNS labels of at most 48 characters; adapters keep their names",
    write=llm_d_manifests,
)
