"""Objects that every Kubernetes stack has: metadata, a Deployment of one pod, and the Service in front of it."""

from collections.abc import Mapping

from adaptwin.export.options import ExportOptions
from adaptwin.export.yaml_text import Manifest

NAME_LABEL = "app.kubernetes.io/name"


def metadata_of(name: str, options: ExportOptions) -> Manifest:
    """Return the metadata of an object, which is labelled with its name."""
    labels = {NAME_LABEL: name, "app.kubernetes.io/managed-by": "adaptwin"}
    return {"name": name, "namespace": options.namespace, "labels": labels}


def deployment(
    metadata: Manifest,
    selector: Mapping[str, str],
    pod: Manifest,
    *,
    pod_metadata: Manifest | None = None,
    needs_gpus: bool = False,
) -> Manifest:
    """Return a Deployment of one pod.

    Args:
        metadata: Metadata of the Deployment.
        selector: Labels by which it knows its pod.
        pod: Specification of the pod.
        pod_metadata: Metadata of the pod, which has the labels of the selector; None: those alone.
        needs_gpus: Whether a new pod may start only once the old one has ended, as it needs its GPUs.
    """
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": 1,
            **({"strategy": {"type": "Recreate"}} if needs_gpus else {}),
            "selector": {"matchLabels": selector},
            "template": {"metadata": pod_metadata or {"labels": selector}, "spec": pod},
        },
    }


def service(
    metadata: Manifest, selector: Mapping[str, str], port: int, name: str = "http", target: str = ""
) -> Manifest:
    """Return a Service at a port whose `name` is that of the pod's port, unless `target` is."""
    ports = [{"name": name, "port": port, "targetPort": target or name}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": selector, "ports": ports}}
