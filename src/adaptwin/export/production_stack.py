"""Export to vLLM's production stack: values of its Helm chart, and a LoraAdapter for each adapter and server.

Helm never sees names of adapters, as the LoraAdapters are applied without it. The chart writes the name of a server
without quotes into labels, and numbers from a million on with an exponent, as Helm reads them as floating point.
"""

from collections.abc import Iterator

from adaptwin.errors import SpecError
from adaptwin.export.adapter_objects import SAID_OF_LOADING, AdapterObject, adapter_objects, object_metadata
from adaptwin.export.container import (
    MOST_STARTING_SECONDS,
    PROBE_SECONDS,
    environment,
    gpu_limits,
    image_of,
    kubernetes_words,
    lora_path,
    model_of,
    mounts,
    only_download,
    said_of_weights,
    volumes,
)
from adaptwin.export.litellm_proxy import proxy_manifests
from adaptwin.export.names import distinct_labels
from adaptwin.export.options import ExportOptions
from adaptwin.export.placement_rules import node_selector, said_of_gpu_types
from adaptwin.export.serving_plan import Destination, ServedServer, ServingPlan
from adaptwin.export.stack import Stack, Written
from adaptwin.export.standing_by import said_of_standbys
from adaptwin.export.vllm_flags import Flag, joined_words
from adaptwin.export.yaml_text import NO_TEXT_TO_SOME, Manifest
from adaptwin.visible import quoted

RELEASE = "adaptwin"  # name of the chart's release, with which the names of its Services begin
LONGEST_MODEL_NAME = 39  # of a server, so that its Service's name, adaptwin-NAME-engine-service, has 63 characters
_LEAST_WITH_EXPONENT = 1_000_000
_NUMBER_FIELDS = {  # fields of vllmConfig by flag; an exponent may be written for large values
    "tensor-parallel-size": "tensorParallelSize",
    "max-model-len": "maxModelLen",
    "max-num-seqs": "maxNumSeqs",
    "max-loras": "maxLoras",
}


def production_stack_values(serving: ServingPlan, options: ExportOptions) -> Written:
    """Return the values of the chart, the LoraAdapters, and LiteLLM's proxy in front of the servers' Services."""
    labels = distinct_labels((server.name for server in serving.servers), LONGEST_MODEL_NAME, NO_TEXT_TO_SOME)
    names = loaded_names(serving)
    urls = {
        name: f"http://{RELEASE}-{label}-engine-service.{options.namespace}.svc:{options.port}"
        for name, label in labels.items()
    }

    def asked(place: Destination) -> str:
        return names.get((place.model, place.server.name), place.model)

    adapters = [
        _lora_adapter(each, names[each.lora.name, each.server.name], labels[each.server.name], options)
        for each in adapter_objects(serving)
    ]
    files: dict[str, str | list[Manifest]] = {
        "values.yaml": [_chart_values(serving, labels, options)],
        **({"adapters.yaml": adapters} if adapters else {}),
        "router.yaml": proxy_manifests(serving, urls, options, asked),
    }
    return Written(files, list(_said_of_chart(serving, names, options)))


def loaded_names(serving: ServingPlan) -> dict[tuple[str, str], str]:
    """Return the name under which each server loads each of its adapters, by adapter and server.

    A split adapter has another name on each server: the controller unloads an adapter from every server besides those
    of its LoraAdapter by name, so that two LoraAdapters of one name would take it from each other's servers for ever.
    """
    split = set(serving.split)
    names = {
        (lora.name, server.name): f"{lora.name}@{server.name}" if lora.name in split else lora.name
        for server in serving.servers
        for lora in server.loras
    }
    owner: dict[str, str] = {}
    for (adapter, server), name in names.items():
        if name in owner:
            both = f"{quoted(owner[name])} and {quoted(adapter)} both become {quoted(name)} on {quoted(server)}"
            raise SpecError(f"{both}: rename one")
        owner[name] = adapter
    return names


def _chart_values(serving: ServingPlan, labels: dict[str, str], options: ExportOptions) -> Manifest:
    health = {"path": "/health", "port": options.port}
    return {
        "servingEngineSpec": {
            "enableEngine": True,
            "runtimeClassName": "",
            "strategy": {"type": "Recreate"},
            "containerPort": options.port,
            "servicePort": options.port,
            "startupProbe": {
                "periodSeconds": PROBE_SECONDS,
                "failureThreshold": MOST_STARTING_SECONDS // PROBE_SECONDS,
                "httpGet": health,
            },
            "livenessProbe": {"failureThreshold": 6, "httpGet": health},
            "readinessProbe": {"httpGet": health},
            "modelSpec": [_model_spec(server, labels[server.name], serving, options) for server in serving.servers],
        },
        "routerSpec": {"enableRouter": False},
        "loraController": {"enableLoraController": any(server.lora_flags for server in serving.servers)},
        "loraAdapters": [],
    }


def _model_spec(server: ServedServer, label: str, serving: ServingPlan, options: ExportOptions) -> Manifest:
    repository, tag = _repository_and_tag(image_of(server, options))
    annotations = {"adaptwin/server": server.name, "adaptwin/profile": server.profile.name}
    return {
        "name": label,
        "annotations": annotations,
        "podAnnotations": annotations,
        "repository": repository,
        "tag": tag,
        "modelURL": kubernetes_words([model_of(server, options)])[0],
        "replicaCount": 1,
        "resources": gpu_limits(server, options),
        "enableLoRA": bool(server.lora_flags),
        "vllmConfig": _vllm_config(server),
        "env": environment(options),
        **_node_selector_terms(server, serving),
        **_extra_folders(server, options),
    }


def _repository_and_tag(image: str) -> tuple[str, str]:
    """Return what the chart puts together with a colon: ``host:5000/vllm:v1`` becomes ``host:5000/vllm`` and ``v1``."""
    before, colon, after = image.rpartition(":")
    return (before, after) if colon and "/" not in after else (image, "latest")


def _vllm_config(server: ServedServer) -> Manifest:
    """Return the settings that the chart has fields for, and the others as arguments.

    The chart switches prefix caching off unless it is told otherwise, and gives a server shared memory only where
    the number of its GPUs is said.
    """
    fields: Manifest = {"tensorParallelSize": server.gpus}
    others = [Flag("served-model-name", (server.served_model,))]
    for flag in (*server.flags, *server.lora_flags):
        if flag.name in _NUMBER_FIELDS and int(flag.values[0]) < _LEAST_WITH_EXPONENT:
            fields[_NUMBER_FIELDS[flag.name]] = int(flag.values[0])
        elif flag.name == "gpu-memory-utilization":
            fields["gpuMemoryUtilization"] = flag.values[0]
        elif flag.name == "enable-chunked-prefill":
            fields["enableChunkedPrefill"] = True
        elif flag.name in ("enable-prefix-caching", "no-enable-prefix-caching"):
            fields["enablePrefixCaching"] = not flag.name.startswith("no-")
        elif flag.name != "enable-lora":
            others.append(flag)
    return {**fields, "extraArgs": kubernetes_words(joined_words(others))}


def _node_selector_terms(server: ServedServer, serving: ServingPlan) -> Manifest:
    wanted = node_selector(server, serving).get("nodeSelector", {})
    rules = [{"key": key, "operator": "In", "values": [value]} for key, value in wanted.items()]
    return {"nodeSelectorTerms": [{"matchExpressions": rules}]} if rules else {}


def _extra_folders(server: ServedServer, options: ExportOptions) -> Manifest:
    """Return the volumes of a server besides shared memory, which the chart mounts, and what fills them."""
    own = [volume for volume in volumes(server, options) if volume["name"] != "shm"]
    own_mounts = [mount for mount in mounts(server, options) if mount["name"] != "shm"]
    found: Manifest = {"extraVolumes": own, "extraVolumeMounts": own_mounts} if own else {}
    if download := only_download(server, options):
        found["envFromSecret"] = {"name": options.storage_secret}
        found["initContainer"] = {
            **{field: download[field] for field in ("name", "image", "command", "args")},
            "mountPvcStorage": False,
            "extraVolumeMounts": download["volumeMounts"],
        }
    return found


def _lora_adapter(each: AdapterObject, name: str, model: str, options: ExportOptions) -> Manifest:
    """Return the LoraAdapter of an adapter on a server.

    Its path is always given: without one, the controller asks a sidecar for a download, with a token that must exist.
    """
    is_hugging_face = each.lora.artifact is not None and each.lora.artifact.scheme == "hf"
    path = lora_path(each.lora, options)
    source: Manifest = {
        "type": "huggingface" if is_hugging_face else "local",
        "adapterName": name,
        "adapterPath": path,
        **({"repository": path} if is_hugging_face else {}),
    }
    key = options.api_key
    return {
        "apiVersion": "production-stack.vllm.ai/v1alpha1",
        "kind": "LoraAdapter",
        "metadata": object_metadata(each.label, each.lora.name, options),
        "spec": {
            "baseModel": model,
            **({"vllmApiKey": {"secretName": key.name, "secretKey": key.key}} if key else {}),
            "adapterSource": source,
            "loraAdapterDeploymentConfig": {"algorithm": "default"},
        },
    }


def _said_of_chart(serving: ServingPlan, names: dict[tuple[str, str], str], options: ExportOptions) -> Iterator[str]:
    chart = f"helm install {RELEASE} vllm/vllm-stack --namespace {options.namespace} --values values.yaml"
    yield f"Install the chart as {RELEASE}, which is a part of its Services' names: {chart}."
    if any(server.loras for server in serving.servers):
        yield "Then apply adapters.yaml and router.yaml with kubectl, so that names of adapters stay out of Helm."
        yield SAID_OF_LOADING
    yield "The chart's router has no weights and is switched off: router.yaml runs LiteLLM's proxy instead."
    if split := [(adapter, name) for (adapter, _), name in names.items() if adapter != name]:
        adapter, name = split[0]
        yield f"Split adapters have another name on each server, such as {name}: ask LiteLLM's proxy for {adapter}."
    if any(only_download(server, options) for server in serving.servers):
        yield f"The chart needs the secret {options.storage_secret} for adapters that are copied: make one, even empty."
    yield from said_of_weights(serving.servers, options)
    yield from said_of_gpu_types(serving)
    yield from said_of_standbys(serving, "Kubernetes starts a failed server again where GPUs are free")


PRODUCTION_STACK = Stack(
    title="vLLM's production stack: Helm values",
    version="chart 0.1.12",
    pins="a `modelSpec` for each server, and a LoraAdapter of that `baseModel` for each of its adapters",
    weights="by LiteLLM's proxy, in `router.yaml`",
    merged="a `modelSpec` of the merged model, under the adapter's name",
    names="servers become DNS labels of at most 39 characters; adapters keep their names, with `@server` where split",
    write=production_stack_values,
)
