"""Export to NVIDIA Dynamo: a DynamoGraphDeployment for every server, and a DynamoModel for each adapter and server.

A DynamoModel is loaded on all workers whose ``modelRef`` it names, so that each server has a ``modelRef`` of its own.
A frontend serves the workers of its own deployment only, so that each server has a frontend too.
"""

import re
from collections.abc import Iterator

from adaptwin.export.adapter_objects import SAID_OF_LOADING, AdapterObject, adapter_objects, object_metadata
from adaptwin.export.container import (
    downloads,
    gpu_limits,
    kubernetes_words,
    lora_path,
    model_of,
    mounts,
    said_of_weights,
    secret_variable,
    volumes,
)
from adaptwin.export.kubernetes import server_metadata
from adaptwin.export.litellm_proxy import proxy_manifests
from adaptwin.export.names import distinct_labels
from adaptwin.export.options import ExportOptions
from adaptwin.export.placement_rules import node_selector, said_of_gpu_types
from adaptwin.export.serving_plan import Destination, LoraModule, ServedServer, ServingPlan
from adaptwin.export.stack import Stack, Written
from adaptwin.export.standing_by import said_of_standbys
from adaptwin.export.vllm_flags import Flag, joined_words
from adaptwin.export.yaml_text import Manifest

DYNAMO_VERSION = "1.6.1"
DYNAMO_IMAGE = f"nvcr.io/nvidia/ai-dynamo/vllm-runtime:{DYNAMO_VERSION}"
VLLM_IN_IMAGE = "0.31.0"
FRONTEND_PORT = 8000
LONGEST_GRAPH_NAME = 37  # Grove allows 45 characters for it and the longest name of a component, Frontend, together

_SEMANTIC_VERSION = re.compile(r"v?\d+\.\d+\.\d+([-+.].*)?")
_SEVERAL_NAMES = re.compile(r"[\s,]")  # at which Dynamo takes one served name apart
_PLAIN_S3 = re.compile(r"[A-Za-z0-9_./-]+")  # what Dynamo reads as it is written


def dynamo_manifests(serving: ServingPlan, options: ExportOptions) -> Written:
    """Return a DynamoGraphDeployment for every server, the DynamoModels, and LiteLLM's proxy in front."""
    labels = distinct_labels((server.name for server in serving.servers), LONGEST_GRAPH_NAME)
    urls = {name: f"http://{label}-frontend.{options.namespace}.svc:{FRONTEND_PORT}" for name, label in labels.items()}

    def asked(place: Destination) -> str:
        is_adapter = any(lora.name == place.model for lora in place.server.loras)
        return place.model if is_adapter else _served_name(place.server, labels[place.server.name])

    without_key = options.model_copy(update={"api_key": None})
    graphs = [_graph(server, labels[server.name], serving, options) for server in serving.servers]
    models = [_dynamo_model(each, labels[each.server.name], options) for each in adapter_objects(serving)]
    files: dict[str, str | list[Manifest]] = {
        "servers.yaml": graphs,
        **({"adapters.yaml": models} if models else {}),
        "router.yaml": proxy_manifests(serving, urls, without_key, asked),
    }
    return Written(files, list(_said_of_dynamo(serving, labels, options)))


def _graph(server: ServedServer, label: str, serving: ServingPlan, options: ExportOptions) -> Manifest:
    """Return the deployment of a server: a frontend and one worker."""
    version = _runtime_version(options)
    return {
        "apiVersion": "nvidia.com/v1beta1",
        "kind": "DynamoGraphDeployment",
        "metadata": server_metadata(server, label, options),
        "spec": {
            "backendFramework": "vllm",
            "components": [
                {
                    "name": "Frontend",
                    "type": "frontend",
                    "replicas": 1,
                    **version,
                    "podTemplate": {"spec": _frontend_pod(server, options)},
                },
                {
                    "name": "Worker",
                    "type": "worker",
                    "replicas": 1,
                    "modelRef": {"name": label},
                    **version,
                    "podTemplate": {"spec": {**node_selector(server, serving), **_worker_pod(server, label, options)}},
                },
            ],
        },
    }


def _runtime_version(options: ExportOptions) -> Manifest:
    """Return the version of Dynamo in an image whose tag does not say it, as the operator asks for one."""
    _, _, tag = (options.image or DYNAMO_IMAGE).rpartition(":")
    return {} if _SEMANTIC_VERSION.fullmatch(tag) else {"runtimeVersionOverride": DYNAMO_VERSION}


def _frontend_pod(server: ServedServer, options: ExportOptions) -> Manifest:
    """Return the pod of a frontend, which reads the tokenizer of a merged model from the same folder as the worker."""
    no_loras = server._replace(loras=())
    own_volumes, own_mounts = _folders_besides_shm(no_loras, options)
    container = {
        "name": "main",
        "image": options.image or DYNAMO_IMAGE,
        "env": [secret_variable("HF_TOKEN", options.hf_token, optional=True)],
        **({"volumeMounts": own_mounts} if own_mounts else {}),
    }
    return {"containers": [container], **({"volumes": own_volumes} if own_volumes else {})}


def _worker_pod(server: ServedServer, label: str, options: ExportOptions) -> Manifest:
    """Return the pod of a worker. Dynamo itself copies what it can from S3; init containers copy the rest."""
    copied = server._replace(loras=tuple(lora for lora in server.loras if not _is_for_dynamo_to_copy(lora)))
    own_volumes, own_mounts = _folders_besides_shm(copied, options)
    first = downloads(copied, options)
    credentials = {"secretRef": {"name": options.storage_secret, "optional": True}}
    container = {
        "name": "main",
        "image": options.image or DYNAMO_IMAGE,
        "command": ["python3", "-m", "dynamo.vllm"],
        "args": kubernetes_words(_worker_words(server, label, options)),
        "env": _worker_environment(server, options),
        **({"envFrom": [credentials]} if len(copied.loras) < len(server.loras) else {}),
        "resources": gpu_limits(server, options),
        **({"volumeMounts": own_mounts} if own_mounts else {}),
    }
    return {
        **({"initContainers": first} if first else {}),
        "containers": [container],
        **({"volumes": own_volumes} if own_volumes else {}),
    }


def _folders_besides_shm(server: ServedServer, options: ExportOptions) -> tuple[list[Manifest], list[Manifest]]:
    """Return volumes and mounts besides shared memory, which the operator mounts."""
    own_volumes = [volume for volume in volumes(server, options) if volume["name"] != "shm"]
    return own_volumes, [mount for mount in mounts(server, options) if mount["name"] != "shm"]


def _worker_words(server: ServedServer, label: str, options: ExportOptions) -> list[str]:
    names = [Flag("model", (model_of(server, options),)), Flag("served-model-name", (_served_name(server, label),))]
    return joined_words((*names, *server.flags, *server.lora_flags))


def _served_name(server: ServedServer, label: str) -> str:
    """Return the name of the server's model, or the server's label where Dynamo would take the name for several."""
    return label if _SEVERAL_NAMES.search(server.served_model) else server.served_model


def _worker_environment(server: ServedServer, options: ExportOptions) -> list[Manifest]:
    loading = {
        "DYN_LORA_ENABLED": "true",
        "DYN_LORA_PATH": "/tmp/dynamo_loras",  # noqa: S108 - in the container
        "DYN_SYSTEM_ENABLED": "true",
        "DYN_SYSTEM_PORT": "9090",
    }
    variables = [{"name": name, "value": value} for name, value in loading.items()] if server.lora_flags else []
    return [*variables, secret_variable("HF_TOKEN", options.hf_token, optional=True)]


def _dynamo_model(each: AdapterObject, label: str, options: ExportOptions) -> Manifest:
    return {
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoModel",
        "metadata": object_metadata(each.label, each.lora.name, options),
        "spec": {
            "modelName": each.lora.name,
            "baseModelName": label,
            "modelType": "lora",
            "source": {"uri": _source_uri(each.lora, options)},
        },
    }


def _source_uri(lora: LoraModule, options: ExportOptions) -> str:
    if lora.artifact and (lora.artifact.scheme == "hf" or _is_for_dynamo_to_copy(lora)):
        return lora.artifact.url
    path = lora_path(lora, options)
    return path if "://" in path and not path.startswith("/") else f"file://{path}"


def _is_for_dynamo_to_copy(lora: LoraModule) -> bool:
    return bool(lora.artifact and lora.artifact.scheme == "s3" and _PLAIN_S3.fullmatch(lora.artifact.place))


def _said_of_dynamo(serving: ServingPlan, labels: dict[str, str], options: ExportOptions) -> Iterator[str]:
    yield "Dynamo has no weights: router.yaml runs LiteLLM's proxy, which routes every adapter as planned."
    uris = [_source_uri(lora, options) for server in serving.servers for lora in server.loras]
    if uris:
        yield SAID_OF_LOADING
    if any(uri.startswith("file://") for uri in uris):
        yield "Adapters in folders have file:// for their source, which older operators of Dynamo refuse: update it."
    yield from _said_of_image(serving, options)
    if options.port != FRONTEND_PORT:
        yield f"Dynamo's frontends listen at port {FRONTEND_PORT}, not {options.port}."
    if options.api_key:
        yield "Dynamo's frontends ask for no API key: let nothing but LiteLLM's proxy reach them."
    for server in serving.servers:
        if (name := _served_name(server, labels[server.name])) != server.served_model:
            yield f"Dynamo takes {server.served_model} for several names: the server's own is {name}."
    yield from said_of_weights(serving.servers, options)
    yield from said_of_gpu_types(serving)
    yield from said_of_standbys(serving, "Kubernetes starts a failed server again where GPUs are free")


def _said_of_image(serving: ServingPlan, options: ExportOptions) -> Iterator[str]:
    planned = sorted({server.profile.vllm_version.removeprefix("v") for server in serving.servers} - {VLLM_IN_IMAGE})
    if planned and options.image is None:
        yield f"{DYNAMO_IMAGE} has vLLM {VLLM_IN_IMAGE}, and the plan is for {', '.join(planned)}: give another image."
    if options.image and _runtime_version(options):
        yield f"The tag of {options.image} is no version: runtimeVersionOverride says {DYNAMO_VERSION}; correct it."


DYNAMO = Stack(
    title="NVIDIA Dynamo: graph deployments",
    version=f"Dynamo {DYNAMO_VERSION}",
    pins="a deployment with a `modelRef` of its own for each server, and a DynamoModel of that `baseModelName`",
    weights="by LiteLLM's proxy, in `router.yaml`",
    merged="a deployment of the merged model, under the adapter's name, or its label where that holds blanks or commas",
    names="servers become DNS labels of at most 37 characters; adapters keep their names",
    write=dynamo_manifests,
)
