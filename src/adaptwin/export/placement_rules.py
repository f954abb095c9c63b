"""Which nodes of a cluster may run a server, where a plan mixes types of GPUs."""

from typing import Any

from adaptwin.export.names import dns_label
from adaptwin.export.serving_plan import ServedServer, ServingPlan

NODE_LABEL = "adaptwin/profile"


def node_selector(server: ServedServer, serving: ServingPlan) -> dict[str, Any]:
    """Return the ``nodeSelector`` of a server's pod; empty where all servers have GPUs of one type."""
    if not has_several_gpu_types(serving):
        return {}
    return {"nodeSelector": {NODE_LABEL: dns_label(server.profile.name)}}


def said_of_gpu_types(serving: ServingPlan) -> list[str]:
    """Say how nodes must be labelled where a plan mixes types of GPUs."""
    if not has_several_gpu_types(serving):
        return []
    profiles = {server.profile.name: server.profile.hardware for server in serving.all_servers}
    return [
        f"Nodes with {hardware}: label them {NODE_LABEL}={dns_label(name)} (profile {name})."
        for name, hardware in profiles.items()
    ]


def has_several_gpu_types(serving: ServingPlan) -> bool:
    """Whether the servers of a plan, standbys included, have GPUs of several types."""
    return len({server.profile.hardware for server in serving.all_servers}) > 1
