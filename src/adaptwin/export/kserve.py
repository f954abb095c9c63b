"""Export to KServe: an LLMInferenceService for every server, and LiteLLM's proxy that routes to them."""

import re
import shlex

from adaptwin.export.container import (
    downloads,
    environment,
    gpu_limits,
    image_of,
    kubernetes_words,
    module_words,
    mounts,
    said_of_weights,
    volumes,
)
from adaptwin.export.kubernetes import server_metadata
from adaptwin.export.litellm_proxy import proxy_manifests
from adaptwin.export.names import distinct_labels, dns_label
from adaptwin.export.options import ExportOptions
from adaptwin.export.placement_rules import node_selector, said_of_gpu_types
from adaptwin.export.serving_plan import Destination, LoraModule, ServedServer, ServingPlan
from adaptwin.export.stack import Stack, Written
from adaptwin.export.standing_by import said_of_standbys
from adaptwin.export.vllm_flags import joined_words
from adaptwin.export.yaml_text import Manifest
from adaptwin.visible import quoted
from adaptwin.workload.artifacts import artifact_of

WORKLOAD_SERVICE = "-kserve-workload-svc"  # ends the name of the Service that KServe makes, whose port is always 8000
_LONGEST_SERVICE_NAME = 63 - len(WORKLOAD_SERVICE)  # KServe replaces the end of a longer name
_MODEL_URIS = ("hf", "s3", "pvc")
_ADAPTER_URIS = ("hf", "s3")  # besides folders of the claim of adapters
_LORA_FIELDS = {"max-lora-rank": "maxRank", "max-loras": "maxAdapters", "max-cpu-loras": "maxCpuAdapters"}
_PLAIN_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?")  # safe in KServe's shell script and folders
_PLAIN_PLACE = re.compile(r"(?!.*(?:[.][.]|//))[A-Za-z0-9._/-]+")  # which a URL and a part of a volume hold as it is
_LONGEST_VOLUME_PART = 54  # of an adapter's name in the name of its volume


def kserve_manifests(serving: ServingPlan, options: ExportOptions) -> Written:
    """Return an LLMInferenceService for every server, and LiteLLM's proxy in front of the Services that KServe makes.

    Adapters are fields of a service where KServe can express all of its adapters, and flags of vLLM otherwise.
    """
    labels = distinct_labels((server.name for server in serving.servers), _LONGEST_SERVICE_NAME)
    services = [_llm_service(server, labels[server.name], serving, options) for server in serving.servers]
    urls = {name: f"http://{label}{WORKLOAD_SERVICE}.{options.namespace}.svc:8000" for name, label in labels.items()}
    router = proxy_manifests(serving, urls, options, _asked_of_kserve)
    return Written({"services.yaml": services, "router.yaml": router}, _said_of_kserve(serving, options))


def _llm_service(server: ServedServer, label: str, serving: ServingPlan, options: ExportOptions) -> Manifest:
    metadata = server_metadata(server, label, options)
    return {
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {
            **metadata,
            "annotations": {key: _go_template_text(value) for key, value in metadata["annotations"].items()},
        },
        "spec": {
            "model": {
                "uri": _model_uri(server, options),
                "name": _model_name(server),
                **({"lora": _lora_fields(server, options)} if _has_lora_fields(server, options) else {}),
            },
            "replicas": 1,
            **({"parallelism": {"tensor": server.gpus}} if server.gpus > 1 else {}),
            "template": {**node_selector(server, serving), **_kserve_pod(server, options)},
        },
    }


def _lora_fields(server: ServedServer, options: ExportOptions) -> Manifest:
    return {
        **{field: int(server.settings[flag]) for flag, field in _LORA_FIELDS.items()},
        "adapters": [{"name": lora.name, "uri": _adapter_uri(lora, options)} for lora in server.loras],
    }


def _kserve_pod(server: ServedServer, options: ExportOptions) -> Manifest:
    """Return what a service's pod has besides what KServe gives it."""
    container = {
        "name": "main",
        "image": image_of(server, options),
        "env": [{"name": "VLLM_ADDITIONAL_ARGS", "value": _additional_args(server, options)}, *environment(options)],
        "resources": gpu_limits(server, options),
    }
    parts = {} if _has_lora_fields(server, options) else _own_folders(server, options)
    return {
        "enableServiceLinks": False,
        **({"initContainers": parts["initContainers"]} if parts.get("initContainers") else {}),
        "containers": [{**container, **({"volumeMounts": parts["mounts"]} if parts.get("mounts") else {})}],
        **({"volumes": parts["volumes"]} if parts.get("volumes") else {}),
    }


def _own_folders(server: ServedServer, options: ExportOptions) -> Manifest:
    """Return what a pod needs for adapters that KServe does not load: init containers, mounts and volumes."""
    names = ("adapters", "downloads")
    return {
        "initContainers": downloads(server, options),
        "mounts": [mount for mount in mounts(server, options) if mount["name"] in names],
        "volumes": [volume for volume in volumes(server, options) if volume["name"] in names],
    }


def _additional_args(server: ServedServer, options: ExportOptions) -> str:
    """Return the flags that no field of the service sets, as KServe's script reads them: as words of a shell."""
    in_fields = {"tensor-parallel-size"}
    if has_fields := _has_lora_fields(server, options):
        in_fields |= {"enable-lora", *_LORA_FIELDS}
    words = joined_words(flag for flag in (*server.flags, *server.lora_flags) if flag.name not in in_fields)
    modules = [] if has_fields else module_words(server, options)
    return _go_template_text(kubernetes_words([shlex.join([*words, *modules])])[0])


def _go_template_text(text: str) -> str:
    """Return text as KServe reads a service, which is a Go template to it."""
    return text.replace("{{", "{{`{{`}}")


def _has_lora_fields(server: ServedServer, options: ExportOptions) -> bool:
    """Whether KServe itself can load all adapters of a server, under their names and from where they are."""
    volume_parts = {re.sub(r"[^a-z0-9]", "-", lora.name.lower()) for lora in server.loras}
    return (
        bool(server.loras)
        and all(_adapter_uri(lora, options) for lora in server.loras)
        and len(volume_parts) == len(server.loras)
        and max(map(len, volume_parts)) <= _LONGEST_VOLUME_PART
    )


def _adapter_uri(lora: LoraModule, options: ExportOptions) -> str | None:
    """Return where KServe loads an adapter from; None if it cannot."""
    folder = f"{options.adapters_folder.rstrip('/')}/"
    scheme, place = lora.artifact or ("path", f"{folder}{lora.name}")
    if scheme == "path" and place.startswith(folder):
        scheme, place = "pvc", f"{options.adapters_claim}/{place.removeprefix(folder)}"
    is_plain = _PLAIN_NAME.fullmatch(lora.name) and _PLAIN_PLACE.fullmatch(place)
    return f"{scheme}://{place}" if is_plain and scheme in (*_ADAPTER_URIS, "pvc") else None


def _model_uri(server: ServedServer, options: ExportOptions) -> str:
    return (
        f"pvc://{options.merged_claim}/{_model_name(server)}" if server.merged else artifact_of(server.base_model).url
    )


def _model_name(server: ServedServer) -> str:
    """Return the name under which a service serves its model itself, which KServe writes into a shell script."""
    name = server.served_model
    return name if _PLAIN_NAME.fullmatch(name) and _PLAIN_PLACE.fullmatch(name) else dns_label(name)


def _asked_of_kserve(place: Destination) -> str:
    return _model_name(place.server) if place.model == place.server.served_model else place.model


def _said_of_kserve(serving: ServingPlan, options: ExportOptions) -> list[str]:
    said = said_of_weights(serving.servers, options)
    if renamed := [server for server in serving.servers if server.merged and _model_name(server) != server.merged]:
        names = ", ".join(f"{quoted(server.merged)} in {_model_name(server)}" for server in renamed)
        said.append(f"KServe mounts folders with plain names only: put the merged {names}.")
    if by_flags := [server for server in serving.servers if server.loras and not _has_lora_fields(server, options)]:
        said.append(
            f"{len(by_flags)} services, such as {quoted(by_flags[0].name)}, get their adapters by --lora-modules in "
            "VLLM_ADDITIONAL_ARGS, as spec.model.lora cannot express a name or a place of theirs."
        )
    bases = {server.base_model for server in serving.servers if not server.merged}
    if unknown := sorted(base for base in bases if artifact_of(base).scheme not in _MODEL_URIS):
        said.append(f"KServe loads models from hf://, s3:// and pvc:// only: change the uri of {quoted(unknown[0])}.")
    return [
        *said,
        "KServe downloads with the secrets of its service account: put tokens and keys of storage there.",
        *said_of_gpu_types(serving),
        *said_of_standbys(serving, "KServe starts a failed server again where GPUs are free"),
        "KServe has no weights for single adapters: router.yaml runs LiteLLM's proxy, which routes them as planned.",
        "If KServe has enableLLMInferenceServiceTLS on, give the servers' addresses, with https://, by url.",
    ]


KSERVE = Stack(
    title="KServe: LLMInferenceService",
    version="serving.kserve.io/v1alpha2 of KServe 0.20",
    pins="`spec.model.lora.adapters` of each server's service; `--lora-modules` for names and places it cannot hold",
    weights="by LiteLLM's proxy, in `router.yaml`",
    merged="a service of the merged model, from a folder of the claim",
    names="servers become DNS labels of at most 43 characters; adapters keep their names",
    write=kserve_manifests,
)
