"""Export to Kubernetes: a Deployment and a Service for every server, and LiteLLM's proxy that routes to them."""

from adaptwin.export.cluster_objects import NAME_LABEL, deployment, metadata_of, service
from adaptwin.export.container import pod_spec, said_of_weights
from adaptwin.export.litellm_proxy import ROUTER, proxy_manifests
from adaptwin.export.names import distinct_labels
from adaptwin.export.options import ExportOptions
from adaptwin.export.placement_rules import node_selector, said_of_gpu_types
from adaptwin.export.serving_plan import ServedServer, ServingPlan
from adaptwin.export.stack import Stack, Written
from adaptwin.export.standing_by import said_of_standbys
from adaptwin.export.yaml_text import Manifest

LONGEST_DEPLOYMENT_NAME = 52  # of a Deployment, to which its pods' names add 11 characters


def kubernetes_manifests(serving: ServingPlan, options: ExportOptions) -> Written:
    """Return a Deployment and a Service for every server, and LiteLLM's proxy in front of them."""
    labels = distinct_labels((server.name for server in serving.servers), LONGEST_DEPLOYMENT_NAME, taken=[ROUTER])
    servers = [
        document
        for server in serving.servers
        for document in (
            server_deployment(server, labels[server.name], serving, options),
            server_service(server, labels[server.name], options),
        )
    ]
    urls = {name: f"http://{label}.{options.namespace}.svc:{options.port}" for name, label in labels.items()}
    said = [
        *said_of_weights(serving.servers, options),
        *said_of_gpu_types(serving),
        *said_of_standbys(serving, "Kubernetes starts a failed server again where GPUs are free"),
        "A Service has no weights: router.yaml runs LiteLLM's proxy, which routes every adapter as planned.",
        f"The proxy asks its clients for the key {options.router_key.key} of the secret {options.router_key.name}.",
    ]
    return Written({"servers.yaml": servers, "router.yaml": proxy_manifests(serving, urls, options)}, said)


def server_deployment(server: ServedServer, label: str, serving: ServingPlan, options: ExportOptions) -> Manifest:
    """Return the Deployment of a server."""
    pod = {**node_selector(server, serving), **pod_spec(server, options)}
    return deployment(server_metadata(server, label, options), {NAME_LABEL: label}, pod, needs_gpus=True)


def server_service(server: ServedServer, label: str, options: ExportOptions) -> Manifest:
    """Return the Service of a server, at its name and port."""
    return service(server_metadata(server, label, options), {NAME_LABEL: label}, options.port)


def server_metadata(server: ServedServer, label: str, options: ExportOptions) -> Manifest:
    """Return the metadata of an object of a server; annotations, which allow any character, hold the plan's names."""
    annotations = {"adaptwin/server": server.name, "adaptwin/profile": server.profile.name}
    return {**metadata_of(label, options), "annotations": annotations}


KUBERNETES = Stack(
    title="Kubernetes: plain manifests",
    version="API of Kubernetes 1.37",
    pins="`--lora-modules` of each server's Deployment",
    weights="by LiteLLM's proxy, in `router.yaml`",
    merged="a Deployment of the merged model, under the adapter's name",
    names="servers become DNS labels of at most 52 characters; adapters keep their names",
    write=kubernetes_manifests,
)
