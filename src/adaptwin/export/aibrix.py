"""Export to AIBrix: a Deployment and a Service for every server, and a ModelAdapter for every adapter.

AIBrix serves an adapter under the name of its ModelAdapter, and makes a Service of that name, so that adapters and
servers have DNS labels which are all different. It loads adapters at port 8000 only, and takes their paths for URLs.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from adaptwin.export.adapter_objects import SAID_OF_LOADING, object_metadata
from adaptwin.export.cluster_objects import deployment, service
from adaptwin.export.container import lora_path, pod_spec, said_of_weights, serve_words
from adaptwin.export.kubernetes import server_metadata
from adaptwin.export.litellm_proxy import ROUTER, proxy_manifests
from adaptwin.export.names import distinct_labels
from adaptwin.export.options import ExportOptions
from adaptwin.export.placement_rules import node_selector, said_of_gpu_types
from adaptwin.export.serving_plan import Destination, LoraModule, ServedServer, ServingPlan
from adaptwin.export.stack import Stack, Written
from adaptwin.export.standing_by import said_of_standbys
from adaptwin.export.yaml_text import Manifest

AIBRIX_PORT = 8000  # at which AIBrix loads adapters, whatever port its labels say
LONGEST_AIBRIX_SERVER = 30  # its pods' names, 17 characters longer, end keys of annotations: last-retry-time.POD <= 63
MODEL_LABEL = "model.aibrix.ai/name"
PORT_LABEL = "model.aibrix.ai/port"
TAKES_ADAPTERS = {"adapter.model.aibrix.ai/enabled": "true"}  # label of pods that adapters may be loaded on
SPLIT_LABEL = "split.adaptwin/"  # prefix of the label that pods have for each split adapter that they serve

_NO_URL = re.compile(r"%(?![0-9A-Fa-f]{2})|://")  # what AIBrix refuses in a path: a false escape, and a second scheme


class _AIBrixLabels(NamedTuple):
    """The DNS labels of servers and adapters, by their names."""

    servers: dict[str, str]
    adapters: dict[str, str]


def aibrix_manifests(serving: ServingPlan, options: ExportOptions) -> Written:
    """Return a Deployment and a Service for every server, the ModelAdapters, and LiteLLM's proxy in front."""
    at_port = options.model_copy(update={"port": AIBRIX_PORT})
    labels = _labels_of(serving)
    urls = {name: f"http://{label}.{options.namespace}.svc:{AIBRIX_PORT}" for name, label in labels.servers.items()}

    def asked(place: Destination) -> str:
        is_adapter = any(lora.name == place.model for lora in place.server.loras)
        return labels.adapters[place.model] if is_adapter else labels.servers[place.server.name]

    servers = [
        document
        for server in serving.servers
        for document in (_aibrix_deployment(server, labels, serving, at_port), _aibrix_service(server, labels, at_port))
    ]
    adapters = _model_adapters(serving, labels, at_port)
    files: dict[str, str | list[Manifest]] = {
        "servers.yaml": servers,
        **({"adapters.yaml": adapters} if adapters else {}),
        "router.yaml": proxy_manifests(serving, urls, at_port, asked),
    }
    return Written(files, list(_said_of_aibrix(serving, labels, options)))


def _labels_of(serving: ServingPlan) -> _AIBrixLabels:
    adapters = distinct_labels(_distinct_loras(serving), taken=[ROUTER])
    names = (server.name for server in serving.servers)
    servers = distinct_labels(names, LONGEST_AIBRIX_SERVER, taken=[ROUTER, *adapters.values()])
    return _AIBrixLabels(servers, adapters)


def _distinct_loras(serving: ServingPlan) -> dict[str, LoraModule]:
    """Return the adapters of the plan, each once, by name."""
    return {lora.name: lora for server in serving.servers for lora in server.loras}


def _aibrix_deployment(
    server: ServedServer, labels: _AIBrixLabels, serving: ServingPlan, options: ExportOptions
) -> Manifest:
    """Return the Deployment of a server, which AIBrix knows as a model of the server's label."""
    label, split = labels.servers[server.name], set(serving.split)
    selector = {MODEL_LABEL: label}
    on_pods = {f"{SPLIT_LABEL}{labels.adapters[lora.name]}": "true" for lora in server.loras if lora.name in split}
    takes = TAKES_ADAPTERS if server.lora_flags else {}
    words = serve_words(server, options, with_modules=False, served_as=label)
    metadata = server_metadata(server, label, options)
    own = {**metadata, "labels": {**metadata["labels"], **selector, PORT_LABEL: str(AIBRIX_PORT), **takes}}
    of_pod = {"labels": {**selector, PORT_LABEL: str(AIBRIX_PORT), **takes, **on_pods}}
    pod = {**node_selector(server, serving), **pod_spec(server, options, words)}
    return deployment(own, selector, pod, pod_metadata=of_pod, needs_gpus=True)


def _aibrix_service(server: ServedServer, labels: _AIBrixLabels, options: ExportOptions) -> Manifest:
    selector = {MODEL_LABEL: labels.servers[server.name]}
    metadata = server_metadata(server, labels.servers[server.name], options)
    return service({**metadata, "labels": {**metadata["labels"], **selector}}, selector, AIBRIX_PORT)


def _model_adapters(serving: ServingPlan, labels: _AIBrixLabels, options: ExportOptions) -> list[Manifest]:
    """Return a ModelAdapter for each adapter, which is loaded on every pod that its labels match.

    AIBrix ignores ``matchExpressions``, so that a split adapter is pinned by a label that only its servers' pods have.
    """
    split = set(serving.split)
    servers = {lora.name: labels.servers[server.name] for server in serving.servers for lora in server.loras}
    found = []
    for name, lora in _distinct_loras(serving).items():
        label = labels.adapters[name]
        metadata = object_metadata(label, name, options)
        pinned = {f"{SPLIT_LABEL}{label}": "true"} if name in split else {MODEL_LABEL: servers[name]}
        found.append(
            {
                "apiVersion": "model.aibrix.ai/v1alpha1",
                "kind": "ModelAdapter",
                "metadata": {
                    **metadata,
                    "labels": {**metadata["labels"], MODEL_LABEL: label, PORT_LABEL: str(AIBRIX_PORT)},
                },
                "spec": {
                    **({} if name in split else {"baseModel": servers[name]}),
                    "podSelector": {"matchLabels": {**pinned, **TAKES_ADAPTERS}},
                    "artifactURL": _artifact_url(lora, label, options),
                },
            }
        )
    return found


def _artifact_url(lora: LoraModule, label: str, options: ExportOptions) -> str:
    """Return where AIBrix has an adapter loaded from: a repository of Hugging Face, or a folder in the container."""
    if lora.artifact is not None and lora.artifact.scheme == "hf":
        return f"huggingface://{lora.artifact.place}"
    return f"{options.adapters_folder}/{label}" if _is_renamed(lora, options) else lora_path(lora, options)


def _is_renamed(lora: LoraModule, options: ExportOptions) -> bool:
    """Whether the folder of an adapter without an artifact has its label for a name, as AIBrix refuses its own."""
    return lora.artifact is None and bool(_NO_URL.search(lora_path(lora, options)))


def _said_of_aibrix(serving: ServingPlan, labels: _AIBrixLabels, options: ExportOptions) -> Iterator[str]:
    yield "AIBrix's gateway has no weights: router.yaml runs LiteLLM's proxy, which routes every adapter as planned."
    yield "Adapters have DNS labels for names in AIBrix, and LiteLLM's proxy asks for them by those."
    if any(server.loras for server in serving.servers):
        yield SAID_OF_LOADING
    if options.port != AIBRIX_PORT:
        yield f"AIBrix loads adapters at port {AIBRIX_PORT} only: the servers have this port, not {options.port}."
    if options.api_key:
        yield "AIBrix reads the servers' API key as plain text only: add it to additionalConfig of every ModelAdapter,"
        yield f'as "api-key", from the key {options.api_key.key} of the secret {options.api_key.name}.'
    for name, lora in _distinct_loras(serving).items():
        if _is_renamed(lora, options):
            folder = f"{options.adapters_folder}/{labels.adapters[name]}"
            yield f"AIBrix takes paths for URLs and refuses that of {name}: put its weights in {folder}."
        elif _is_refused(lora, options):
            yield f"AIBrix takes paths for URLs and refuses that of {name}: {lora_path(lora, options)}."
    yield from said_of_weights(serving.servers, options)
    yield from said_of_gpu_types(serving)
    yield from said_of_standbys(serving, "Kubernetes starts a failed server again where GPUs are free")


def _is_refused(lora: LoraModule, options: ExportOptions) -> bool:
    """Whether AIBrix refuses to load an adapter from where it is."""
    if lora.artifact is None or lora.artifact.scheme == "hf":
        return False
    path = lora_path(lora, options)
    return not path.startswith("/") or bool(_NO_URL.search(path))


AIBRIX = Stack(
    title="AIBrix: manifests and ModelAdapters",
    version="AIBrix 0.7.0",
    pins="`podSelector` of each ModelAdapter: the label of its server, or one of its own where it is split",
    weights="by LiteLLM's proxy, in `router.yaml`",
    merged="a Deployment of the merged model, under the server's label",
    names="servers become DNS labels of at most 30 characters, adapters of 63; LiteLLM's proxy takes the plan's names",
    write=aibrix_manifests,
)
