"""Export to Docker Compose: a service for every server on one machine, and LiteLLM's proxy in front of them."""

from typing import Any

from adaptwin.errors import SpecError
from adaptwin.export.container import (
    DOWNLOADS,
    MOST_STARTING_SECONDS,
    Copying,
    copyings,
    image_of,
    mounts,
    said_of_unknown_artifacts,
    serve_words,
)
from adaptwin.export.litellm import LITELLM_FILE
from adaptwin.export.litellm_config import API_KEY, MASTER_KEY, model_list, proxy_config
from adaptwin.export.litellm_proxy import CONFIG_FOLDER, ROUTER_PORT
from adaptwin.export.names import distinct_labels, dns_label
from adaptwin.export.one_machine import PortAndGpus, ports_and_gpus
from adaptwin.export.options import ExportOptions
from adaptwin.export.placement_rules import has_several_gpu_types
from adaptwin.export.serving_plan import LoraModule, ServedServer, ServingPlan
from adaptwin.export.stack import Stack, Written
from adaptwin.export.standing_by import said_of_standbys
from adaptwin.export.yaml_text import Manifest
from adaptwin.workload.artifacts import Artifact

COMPOSE_FILE = "compose.yaml"
ROUTER_SERVICE = "litellm"
_HOST_FOLDERS = {"adapters": "${ADAPTERS:-./adapters}", "merged": "${MERGED:-./merged}"}  # by name of a mount
_OTHER_FOLDER = "/artifacts"  # in containers: artifacts whose paths on the machine are not absolute
_REQUIRED_KEY = {API_KEY: f"${{{API_KEY}:?set the API key of the servers}}"}  # Compose stops where it is not set
_ROUTER_KEY = {MASTER_KEY: f"${{{MASTER_KEY}:?set the key that the proxy asks for}}"}


def compose_files(serving: ServingPlan, options: ExportOptions) -> Written:
    """Return a file with all services, and the configuration of LiteLLM's proxy, which is one of them.

    GPUs and ports are numbered over all servers in their order, standbys included, as the export to vLLM does.
    """
    labels = distinct_labels((server.name for server in serving.servers), taken=[ROUTER_SERVICE])
    places = ports_and_gpus(serving, options.port)
    _require_port_of_router(places)
    copying = copyings(serving.servers, options)
    services: Manifest = {_name_of_copying(each): _copying_service(each, options) for each in copying}
    for server, place in zip(serving.servers, places, strict=False):
        services[labels[server.name]] = _compose_service(server, place, options)
    services[ROUTER_SERVICE] = _proxy_service(options)
    volumes: Manifest = {"huggingface": {}, **({"downloads": {}} if copying else {})}
    document = {"name": "adaptwin", "services": services, "volumes": volumes}
    urls = {name: f"http://{label}:{options.port}" for name, label in labels.items()}
    config = proxy_config(model_list(serving, urls, options))
    return Written({COMPOSE_FILE: [document], LITELLM_FILE: [config]}, _said_of_compose(serving, places, options))


def _require_port_of_router(places: list[PortAndGpus]) -> None:
    if any(place.port == ROUTER_PORT for place in places):
        raise SpecError(f"{ROUTER_PORT} is the port of LiteLLM's proxy: number the servers' ports from another", "port")


def _compose_service(server: ServedServer, place: PortAndGpus, options: ExportOptions) -> Manifest:
    """Return the service of a server, which has the GPUs of its place and is reached from the machine at its port."""
    inside = server._replace(loras=tuple(_as_mounted(lora, options) for lora in server.loras))
    health = f"import urllib.request; urllib.request.urlopen('http://localhost:{options.port}/health')"
    gpus = {"driver": "nvidia", "device_ids": [str(gpu) for gpu in place.gpus], "capabilities": ["gpu"]}
    described = {
        "image": image_of(server, options),
        "entrypoint": ["vllm", "serve"],
        "command": serve_words(inside, options),
        "labels": {"adaptwin.server": server.name, "adaptwin.profile": server.profile.name},
        "ports": [f"127.0.0.1:{place.port}:{options.port}"],
        "deploy": {"resources": {"reservations": {"devices": [gpus]}}},
        "ipc": "host",  # shared memory for NCCL and PyTorch
        "healthcheck": {
            "test": ["CMD", "python3", "-c", health],
            "interval": "10s",
            "timeout": "5s",
            "retries": 6,
            "start_period": f"{MOST_STARTING_SECONDS}s",
        },
        "restart": "unless-stopped",
    }
    key = _REQUIRED_KEY if options.api_key else {}
    copied = [_name_of_copying(each) for each in copyings([server], options)]
    return {
        **_without_interpolation(described),
        "environment": {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "HF_TOKEN": None, **key},
        "volumes": _compose_volumes(server, options),
        **(
            {"depends_on": {name: {"condition": "service_completed_successfully"} for name in copied}} if copied else {}
        ),
    }


def _as_mounted(lora: LoraModule, options: ExportOptions) -> LoraModule:
    """Return an adapter with the path that its artifact has in the container."""
    path = _path_of_bind(lora, options)
    return lora._replace(artifact=Artifact("path", path)) if path else lora


def _path_of_bind(lora: LoraModule, options: ExportOptions) -> str | None:
    """Return where an artifact's folder is mounted; None: it is no folder, or one in the folder of adapters."""
    if lora.artifact is None or lora.artifact.scheme != "path":
        return None
    place = lora.artifact.place
    if place.startswith(f"{options.adapters_folder.rstrip('/')}/"):
        return None
    return place if place.startswith("/") else f"{_OTHER_FOLDER}/{dns_label(place)}"


def _compose_volumes(server: ServedServer, options: ExportOptions) -> list[Manifest]:
    """Return the folders of a server: of the machine, and those that services share."""
    binds = {
        path: lora.artifact.place for lora in server.loras if lora.artifact and (path := _path_of_bind(lora, options))
    }
    in_folders = [lora for lora in server.loras if not _path_of_bind(lora, options)]
    found = {mount["name"]: mount["mountPath"] for mount in mounts(server._replace(loras=tuple(in_folders)), options)}
    return [
        {"type": "volume", "source": "huggingface", "target": "/root/.cache/huggingface"},
        *(
            {"type": "bind", "source": source, "target": _without_variable(found[name]), "read_only": True}
            for name, source in _HOST_FOLDERS.items()
            if name in found
        ),
        *(
            {
                "type": "bind",
                "source": _without_variable(source),
                "target": _without_variable(target),
                "read_only": True,
            }
            for target, source in binds.items()
        ),
        *([{"type": "volume", "source": "downloads", "target": DOWNLOADS, "read_only": True}] * ("downloads" in found)),
    ]


def _copying_service(copying: Copying, options: ExportOptions) -> Manifest:
    """Return the service that copies adapters for all servers, once, before those start that need them."""
    described = {
        "image": copying.image,
        "entrypoint": list(copying.command),
        "command": list(copying.args),
        "env_file": [{"path": f"./{options.storage_secret}.env", "required": False}],
        "volumes": [{"type": "volume", "source": "downloads", "target": DOWNLOADS}],
        "restart": "no",
    }
    return dict(_without_interpolation(described))


def _name_of_copying(copying: Copying) -> str:
    """Return the name of a service that copies; labels of servers have no two hyphens in a row."""
    return f"download--{copying.scheme}"


def _proxy_service(options: ExportOptions) -> Manifest:
    return {
        "image": _without_variable(options.router_image),
        "command": [f"--config={CONFIG_FOLDER}/{LITELLM_FILE}", f"--port={ROUTER_PORT}"],
        "ports": [f"{ROUTER_PORT}:{ROUTER_PORT}"],
        "environment": {**_ROUTER_KEY, **(_REQUIRED_KEY if options.api_key else {})},
        "volumes": [
            {
                "type": "bind",
                "source": f"./{LITELLM_FILE}",
                "target": f"{CONFIG_FOLDER}/{LITELLM_FILE}",
                "read_only": True,
            }
        ],
        "restart": "unless-stopped",
    }


def _without_variable(text: str) -> str:
    """Return text as Compose reads it, which takes a dollar for the begin of a variable unless it is doubled."""
    return text.replace("$", "$$")


def _without_interpolation(data: Any) -> Any:
    """Return plain data in which all text is literal; keys are, as Compose interpolates values only."""
    if isinstance(data, dict):
        return {key: _without_interpolation(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_without_interpolation(value) for value in data]
    return _without_variable(data) if isinstance(data, str) else data


def _said_of_compose(serving: ServingPlan, places: list[PortAndGpus], options: ExportOptions) -> list[str]:
    gpus = sum(len(place.gpus) for place in places)
    loras = [lora for server in serving.servers for lora in server.loras]
    free = [place.devices for place in places[len(serving.servers) :]]
    here = f"The services are for one machine with {gpus} GPU{'s' if gpus > 1 else ''}."
    said = [
        f"{here} On several machines, run each service on one of them, with device_ids and api_base changed.",
        f"Compose has no weights: the service {ROUTER_SERVICE} routes every adapter as planned, at port {ROUTER_PORT}.",
        *said_of_standbys(serving, f"Give a failed server the device_ids {','.join(free)} and start it again"),
        *said_of_unknown_artifacts(serving.servers),
    ]
    if any(lora.artifact is None for lora in loras):
        said.append("Adapters without an artifact: put each one's weights in ./adapters/NAME, or in $ADAPTERS/NAME.")
    if any(server.merged for server in serving.servers):
        said.append("Put each model with merged weights in ./merged/NAME, or in $MERGED/NAME.")
    if copyings(serving.servers, options):
        said.append(f"Write the variables by which s3:// and gs:// are read to {options.storage_secret}.env.")
    if has_several_gpu_types(serving):
        said.append("The plan mixes types of GPUs: change device_ids where the machine numbers them in another order.")
    keys = f"{MASTER_KEY}, {API_KEY} and HF_TOKEN" if options.api_key else f"{MASTER_KEY} and HF_TOKEN"
    return [*said, f"Secrets are not written: set {keys} in the environment or in the file .env."]


COMPOSE = Stack(
    title="Docker Compose: one machine",
    version="Compose specification of June 2026",
    pins="`--lora-modules` and `device_ids` of each server's service",
    weights="by LiteLLM's proxy, the service `litellm`",
    merged="a service of the merged model, under the adapter's name",
    names="servers become DNS labels of at most 63 characters; adapters keep their names, `$` is doubled",
    write=compose_files,
)
