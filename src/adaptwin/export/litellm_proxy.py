"""LiteLLM's proxy in a cluster: its configuration in ConfigMaps, a Deployment and a Service."""

import hashlib
import json

from adaptwin.export.cluster_objects import NAME_LABEL, deployment, metadata_of, service
from adaptwin.export.container import secret_variable
from adaptwin.export.litellm_config import API_KEY, MASTER_KEY, AskedFor, asked_of_vllm, model_list, proxy_config
from adaptwin.export.options import ExportOptions
from adaptwin.export.serving_plan import ServingPlan
from adaptwin.export.yaml_text import Manifest, yaml_text

ROUTER = "adaptwin-router"
ROUTER_PORT = 4000
ROUTER_LABELS = {NAME_LABEL: ROUTER}
CONFIG_FOLDER = "/etc/litellm"
_ENTRIES_PER_MAP = 500  # of a ConfigMap: kubectl keeps a copy of 256 KiB at most; an entry takes some 300 bytes


def proxy_manifests(
    serving: ServingPlan, urls: dict[str, str], options: ExportOptions, asked: AskedFor = asked_of_vllm
) -> list[Manifest]:
    """Return the objects that run the proxy, with the routes of the plan.

    Args:
        serving: Servers and routes.
        urls: Address of each server in the cluster, by name.
        options: Namespace, image and secrets.
        asked: Returns the name by which a server is asked for an adapter.
    """
    models = model_list(serving, urls, options, asked)
    texts = _configs(models)
    maps = {file: ROUTER if file == "config.yaml" else f"{ROUTER}-{file.removesuffix('.yaml')}" for file in texts}
    return [
        *(_config_map(maps[file], {file: text}, options) for file, text in texts.items()),
        _proxy(maps, _digest_of_config(texts), options),
        service(_router_metadata(ROUTER, options), ROUTER_LABELS, ROUTER_PORT),
    ]


def _configs(models: list[Manifest]) -> dict[str, str]:
    """Return the texts of the configuration by file: one, or one that includes others where it would be too large."""
    if len(models) <= _ENTRIES_PER_MAP:
        return {"config.yaml": yaml_text([proxy_config(models)])}
    parts = {
        f"models-{index // _ENTRIES_PER_MAP}.yaml": {"model_list": models[index : index + _ENTRIES_PER_MAP]}
        for index in range(0, len(models), _ENTRIES_PER_MAP)
    }
    main = {"include": list(parts), **proxy_config([])}
    return {"config.yaml": yaml_text([main]), **{file: yaml_text([part]) for file, part in parts.items()}}


def _config_map(name: str, texts: dict[str, str], options: ExportOptions) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _router_metadata(name, options), "data": texts}


def _router_metadata(name: str, options: ExportOptions) -> Manifest:
    """Return the metadata of an object of the proxy, which has the proxy's labels under any name."""
    return {**metadata_of(ROUTER, options), "name": name}


def _digest_of_config(texts: dict[str, str]) -> str:
    """Return a digest of the configuration, which starts the proxy anew where it changes."""
    return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()[:16]


def _proxy(maps: dict[str, str], digest: str, options: ExportOptions) -> Manifest:
    variables = [secret_variable(MASTER_KEY, options.router_key)]
    if options.api_key:
        variables.append(secret_variable(API_KEY, options.api_key))
    container = {
        "name": "litellm",
        "image": options.router_image,
        "args": [f"--config={CONFIG_FOLDER}/config.yaml", f"--port={ROUTER_PORT}"],
        "env": variables,
        "ports": [{"name": "http", "containerPort": ROUTER_PORT}],
        "readinessProbe": {"httpGet": {"path": "/health/readiness", "port": ROUTER_PORT}},
        "volumeMounts": [{"name": "config", "mountPath": CONFIG_FOLDER, "readOnly": True}],
    }
    sources = [{"configMap": {"name": name}} for name in maps.values()]
    pod = {"containers": [container], "volumes": [{"name": "config", "projected": {"sources": sources}}]}
    marked = {"labels": ROUTER_LABELS, "annotations": {"adaptwin/config": digest}}
    return deployment(_router_metadata(ROUTER, options), ROUTER_LABELS, pod, pod_metadata=marked)
