"""Endpoint pickers of llm-d's router: each InferencePool needs one, which names the server for a request."""

from collections.abc import Iterable, Iterator

from adaptwin.errors import SpecError
from adaptwin.export.cluster_objects import NAME_LABEL, deployment, metadata_of, service
from adaptwin.export.options import ExportOptions
from adaptwin.export.yaml_text import Manifest
from adaptwin.visible import quoted

PICKER_SUFFIX = "-epp"  # of the names of endpoint pickers
PICKER_PORT = 9002
_PICKER_IMAGE = "ghcr.io/llm-d/llm-d-router-endpoint-picker:v0.10.0"
_PICKER_ACCOUNT = "adaptwin-pickers"
_HEALTH_PORT = 9003
_CONFIG = (  # any scorer does: a pool has one server
    '{"apiVersion": "llm-d.ai/v1alpha1", "kind": "EndpointPickerConfig", "plugins": [{"type": "queue-scorer"}]}'
)
_READ = {  # by API group: what a picker reads
    "inference.networking.k8s.io": ["inferencepools"],
    "inference.networking.x-k8s.io": ["inferenceobjectives", "inferencemodelrewrites"],
    "llm-d.ai": ["inferenceobjectives", "inferencemodelrewrites"],
    "": ["pods"],
}


def require_free_names(labels: dict[str, str]) -> None:
    """Raise `SpecError` if a server has the name of another server's picker."""
    owners = {label: name for name, label in labels.items()}
    for name, label in labels.items():
        if taken := owners.get(f"{label}{PICKER_SUFFIX}"):
            raise SpecError(f"{quoted(taken)} is what the endpoint picker of {quoted(name)} is called: rename one")


def picker_manifests(pools: Iterable[str], options: ExportOptions) -> list[Manifest]:
    """Return the pickers of pools, and the account by which they read pools and pods."""
    return [*_picker_account(options), *(document for pool in pools for document in _picker(pool, options))]


def _picker_account(options: ExportOptions) -> Iterator[Manifest]:
    group = "rbac.authorization.k8s.io"
    metadata = metadata_of(_PICKER_ACCOUNT, options)
    rules = [
        {"apiGroups": [name], "resources": read, "verbs": ["get", "watch", "list"]} for name, read in _READ.items()
    ]
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
    yield {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules}
    yield {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "subjects": [{"kind": "ServiceAccount", "name": _PICKER_ACCOUNT, "namespace": options.namespace}],
        "roleRef": {"apiGroup": group, "kind": "Role", "name": _PICKER_ACCOUNT},
    }


def _picker(pool: str, options: ExportOptions) -> Iterator[Manifest]:
    metadata = metadata_of(f"{pool}{PICKER_SUFFIX}", options)
    selector = {NAME_LABEL: metadata["name"]}
    pod = {"serviceAccountName": _PICKER_ACCOUNT, "containers": [_picker_container(pool, options)]}
    yield deployment(metadata, selector, pod)
    yield service(metadata, selector, PICKER_PORT, name="grpc-ext-proc", target="grpc")


def _picker_container(pool: str, options: ExportOptions) -> Manifest:
    probe = {"grpc": {"port": _HEALTH_PORT, "service": "inference-extension"}}
    return {
        "name": "epp",
        "image": _PICKER_IMAGE,
        "args": [
            f"--pool-name={pool}",
            f"--pool-namespace={options.namespace}",
            f"--config-text={_CONFIG}",
            f"--grpc-port={PICKER_PORT}",
            f"--grpc-health-port={_HEALTH_PORT}",
            "--tracing=false",
        ],
        "env": [  # the picker finds its own pod by these
            {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "ports": [
            {"name": "grpc", "containerPort": PICKER_PORT},
            {"name": "grpc-health", "containerPort": _HEALTH_PORT},
        ],
        "readinessProbe": probe,
        "livenessProbe": {**probe, "initialDelaySeconds": 5},
    }
