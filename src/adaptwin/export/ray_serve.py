"""Export to Ray Serve on KubeRay: a RayService with an LLMConfig for every server, and LiteLLM's proxy in front."""

import json
from collections.abc import Iterable, Iterator

from adaptwin.export.container import (
    environment,
    gpu_limits,
    lora_path,
    model_of,
)
from adaptwin.export.csv_text import csv_text
from adaptwin.export.litellm_proxy import proxy_manifests
from adaptwin.export.names import distinct_folders, distinct_labels
from adaptwin.export.options import ExportOptions
from adaptwin.export.placement_rules import node_selector, said_of_gpu_types
from adaptwin.export.serving_plan import Destination, ServedServer, ServingPlan
from adaptwin.export.stack import Stack, Written
from adaptwin.export.standing_by import said_of_standbys
from adaptwin.export.vllm_flags import Flag
from adaptwin.export.yaml_text import Manifest, yaml_text

RAY_VERSION = "2.56.0"
RAY_IMAGE = f"rayproject/ray-llm:{RAY_VERSION}-py312-cu130"
RAY_VLLM = "0.22.0"  # version of vLLM that ray[llm] of this version of Ray asks for
SERVICE_NAME = "adaptwin"
COPIES_FILE = "copies.csv"
_COPIES_COLUMNS = ("adapter", "server", "model", "from", "to")
_LISTS = ("lora-target-modules",)  # flags whose values are a list, even a single one
_LONGEST_GROUP_NAME = 40  # KubeRay adds the name of the cluster and of the pod


def ray_serve_manifests(serving: ServingPlan, options: ExportOptions) -> Written:
    """Return a RayService, LiteLLM's proxy in front of it, and a table of what must be copied where.

    Ray loads an adapter from a folder of object storage with its first request. Every server has a folder of its own,
    which holds its planned adapters and no others.
    """
    labels = distinct_labels(server.name for server in serving.servers)
    folders = distinct_folders(lora.name for server in serving.servers for lora in server.loras)

    def asked(place: Destination) -> str:
        label = labels[place.server.name]
        return label if place.model == place.server.served_model else f"{label}:{folders[place.model]}"

    url = f"http://{SERVICE_NAME}-serve-svc.{options.namespace}.svc:{options.port}"
    files: dict[str, str | list[Manifest]] = {
        "rayservice.yaml": [_ray_service(serving, labels, options)],
        "router.yaml": proxy_manifests(serving, dict.fromkeys(labels, url), options, asked),
    }
    if copies := list(_copies_for_ray(serving.servers, labels, folders, options)):
        files[COPIES_FILE] = csv_text(_COPIES_COLUMNS, copies)
    return Written(files, _said_of_ray(serving, options, has_copies=bool(copies)))


def engine_arguments(flags: Iterable[Flag]) -> dict[str, object]:
    """Return flags as the arguments of vLLM's engine: ``max_loras: 8``, ``async_scheduling: false``."""
    return dict(map(_engine_argument, flags))


def _engine_argument(flag: Flag) -> tuple[str, object]:
    name = flag.name.replace("-", "_")
    if not flag.values:
        return name.removeprefix("no_"), not name.startswith("no_")
    return name, list(flag.values) if flag.name in _LISTS else _number_or_text(flag.values[0])


def _number_or_text(value: str) -> object:
    for number in (int, float):
        try:
            return number(value)
        except ValueError:
            continue
    return value


def _ray_service(serving: ServingPlan, labels: dict[str, str], options: ExportOptions) -> Manifest:
    groups = distinct_labels((server.profile.name for server in serving.servers), _LONGEST_GROUP_NAME)
    configs = [
        _llm_config(server, labels[server.name], groups[server.profile.name], options) for server in serving.servers
    ]
    application = {
        "name": SERVICE_NAME,
        "import_path": "ray.serve.llm:build_openai_app",
        "route_prefix": "/",
        "args": {"llm_configs": configs},
    }
    config = {"http_options": {"host": "0.0.0.0", "port": options.port}, "applications": [application]}  # noqa: S104
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {
            "name": SERVICE_NAME,
            "namespace": options.namespace,
            "labels": {"app.kubernetes.io/name": SERVICE_NAME, "app.kubernetes.io/managed-by": "adaptwin"},
            "annotations": {f"adaptwin.server/{label}": name for name, label in labels.items()},
        },
        "spec": {
            "serveConfigV2": yaml_text([config]),
            "rayClusterConfig": {
                **({} if options.image else {"rayVersion": RAY_VERSION}),
                "headGroupSpec": _ray_head(options),
                "workerGroupSpecs": [
                    _ray_workers(
                        group, [each for each in serving.servers if each.profile.name == name], serving, options
                    )
                    for name, group in groups.items()
                ],
            },
        },
    }


def _llm_config(server: ServedServer, label: str, group: str, options: ExportOptions) -> Manifest:
    bundle = {"GPU": 1, _resource_of(group): 1}
    lora: Manifest = {
        "dynamic_lora_loading_path": _folder_of_server(label, options),
        "max_num_adapters_per_replica": int(server.settings.get("max-loras", 0)),  # Ray asks for the same number
    }
    return {
        "model_loading_config": {"model_id": label, "model_source": model_of(server, options)},
        "engine_kwargs": engine_arguments((*server.flags, *server.lora_flags)),
        **({"lora_config": lora} if server.lora_flags else {}),
        "placement_group_config": {"bundles": [bundle] * server.gpus, "strategy": "STRICT_PACK"},
        "deployment_config": {"num_replicas": 1},
    }


def _folder_of_server(label: str, options: ExportOptions) -> str:
    return f"{options.lora_bucket.rstrip('/')}/{label}"


def _resource_of(group: str) -> str:
    """Return the resource of Ray that only the nodes of a group have, one for each of their GPUs."""
    return f"profile-{group}"


def _ray_head(options: ExportOptions) -> Manifest:
    ports = {"gcs-server": 6379, "dashboard": 8265, "client": 10001, "serve": options.port}
    container = {
        **_ray_container("ray-head", options),
        "ports": [{"name": name, "containerPort": port} for name, port in ports.items()],
    }
    return {
        "rayStartParams": {"num-cpus": "0", "num-gpus": "0", "dashboard-host": "0.0.0.0"},  # noqa: S104
        "template": {"spec": {"containers": [container]}},
    }


def _ray_workers(group: str, servers: list[ServedServer], serving: ServingPlan, options: ExportOptions) -> Manifest:
    """Return the nodes of a profile: one for each of its servers, with the GPUs of a server."""
    first, many = servers[0], len(servers)
    container = {**_ray_container("ray-worker", options), "resources": gpu_limits(first, options)}
    pod: Manifest = {**node_selector(first, serving), "containers": [container]}
    if any(server.merged for server in servers):
        container["volumeMounts"] = [{"name": "merged", "mountPath": options.merged_folder, "readOnly": True}]
        claim = {"claimName": options.merged_claim, "readOnly": True}
        pod["volumes"] = [{"name": "merged", "persistentVolumeClaim": claim}]
    return {
        "groupName": group,
        "replicas": many,
        "minReplicas": many,
        "maxReplicas": many,
        "rayStartParams": {
            "num-gpus": str(first.gpus),
            "resources": f"'{json.dumps({_resource_of(group): first.gpus})}'",  # KubeRay writes it into a command
        },
        "template": {"spec": pod},
    }


def _ray_container(name: str, options: ExportOptions) -> Manifest:
    return {
        "name": name,
        "image": options.image or RAY_IMAGE,
        "env": environment(options),
        "envFrom": [{"secretRef": {"name": options.storage_secret, "optional": True}}],
    }


def _copies_for_ray(
    servers: Iterable[ServedServer], labels: dict[str, str], folders: dict[str, str], options: ExportOptions
) -> Iterator[tuple[str, ...]]:
    for server in servers:
        label = labels[server.name]
        for lora in server.loras:
            place = lora.artifact.url if lora.artifact else lora_path(lora, options)
            to = f"{_folder_of_server(label, options)}/{folders[lora.name]}"
            yield lora.name, server.name, f"{label}:{folders[lora.name]}", place, to


def _said_of_ray(serving: ServingPlan, options: ExportOptions, *, has_copies: bool) -> list[str]:
    said = ["Ray Serve has no weights: router.yaml runs LiteLLM's proxy, which routes every adapter as planned."]
    if has_copies:
        said.append(
            f"Ray loads an adapter with its first request, from its server's folder: copy each one as {COPIES_FILE} "
            "says, that of a split adapter to each of its servers, before traffic comes."
        )
    if any(server.merged for server in serving.servers):
        said.append(
            f"Put each model with merged weights in {options.merged_folder}/NAME of the volume claim "
            f"{options.merged_claim}, which many nodes must be able to read."
        )
    said += [
        *said_of_gpu_types(serving),
        *said_of_standbys(serving, "KubeRay starts a failed node again where GPUs are free"),
        "KubeRay makes a second cluster when rayClusterConfig changes: keep as many GPUs free, or delete it first.",
    ]
    versions = dict.fromkeys(server.profile.vllm_version for server in serving.servers)
    if options.image is None and set(versions) != {RAY_VLLM}:
        said.append(
            f"The image {RAY_IMAGE} has vLLM {RAY_VLLM}, and the plan is for {', '.join(versions)}: give an image of "
            "Ray with that version by image."
        )
    if options.api_key:
        said.append("Ray Serve asks for no API key: let requests in through the proxy only.")
    return said


RAY_SERVE = Stack(
    title="Ray Serve LLM on KubeRay",
    version=f"ray.io/v1 of KubeRay 1.7, Ray {RAY_VERSION}",
    pins="a folder of object storage for each server's LLMConfig, which holds its adapters only",
    weights="by LiteLLM's proxy, in `router.yaml`",
    merged="an LLMConfig of the merged model, without LoRA",
    names="servers become DNS labels of at most 63 characters, adapters names of folders; clients use the plan's names",
    write=ray_serve_manifests,
)
