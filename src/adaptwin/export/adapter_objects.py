"""Adapters as objects of a cluster, which its stack loads into running servers: one for each adapter and server."""

from typing import Any, NamedTuple

from adaptwin.export.names import distinct_labels
from adaptwin.export.options import ExportOptions
from adaptwin.export.serving_plan import LoraModule, ServedServer, ServingPlan

SAID_OF_LOADING = (
    "Adapters are loaded once their server has started, and again after it restarts: until then, requests for them "
    "fail."
)


class AdapterObject(NamedTuple):
    """An adapter on a server, with the name of the object that stands for it."""

    server: ServedServer
    lora: LoraModule
    label: str  # a DNS label of its own


def adapter_objects(serving: ServingPlan) -> list[AdapterObject]:
    """Return every adapter on every server that runs; a split adapter's labels are those of adapter and server."""
    split = set(serving.split)
    pairs = [(server, lora) for server in serving.servers for lora in server.loras]
    names = [f"{lora.name}\n{server.name}" if lora.name in split else lora.name for server, lora in pairs]
    labels = distinct_labels(names)
    return [AdapterObject(server, lora, labels[name]) for (server, lora), name in zip(pairs, names, strict=True)]


def object_metadata(label: str, adapter: str, options: ExportOptions) -> dict[str, Any]:
    """Return the metadata of an object that stands for an adapter, whose name in the plan is an annotation."""
    return {
        "name": label,
        "namespace": options.namespace,
        "labels": {"app.kubernetes.io/managed-by": "adaptwin"},
        "annotations": {"adaptwin/adapter": adapter},
    }
