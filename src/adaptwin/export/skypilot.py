"""Export to SkyPilot: a SkyServe service for every server, and the configuration of LiteLLM's proxy."""

import re
from collections.abc import Iterable

from adaptwin.export.container import MOST_STARTING_SECONDS, image_of, serve_words
from adaptwin.export.litellm import LITELLM_FILE
from adaptwin.export.litellm_config import API_KEY, MASTER_KEY, model_list, proxy_config
from adaptwin.export.names import distinct_folders, distinct_labels
from adaptwin.export.options import ExportOptions
from adaptwin.export.serving_plan import LoraModule, ServedServer, ServingPlan
from adaptwin.export.shell import word
from adaptwin.export.stack import Stack, Written
from adaptwin.export.standing_by import said_of_standbys
from adaptwin.export.yaml_text import Manifest
from adaptwin.workload.artifacts import Artifact

LONGEST_SERVICE_NAME = 30  # clouds allow 28 to 63 characters, to which SkyPilot adds some; it cuts longer ones
SERVER_VARIABLE = "ADAPTWIN_SERVER"  # environment variable of a task with the server's name in the plan
_CLOUD_STORES = ("s3", "gs", "r2", "cos", "oci")
_SAFE_PLACE = re.compile(r"[A-Za-z0-9_.~/@+=,:-]+")  # SkyPilot writes places into shell commands as they are
_ACCELERATORS = {  # words of a profile's hardware: name of the GPU in SkyPilot; the first that is found
    "A100-SXM4-40GB": "A100",
    "A100 40GB": "A100",
    "A100": "A100-80GB",
    "H100": "H100",
    "H200": "H200",
    "B200": "B200",
    "L40S": "L40S",
    "L4": "L4",
    "A10G": "A10G",
    "RTX A6000": "RTXA6000",
    "A10": "A10",
    "RTX 4090": "RTX4090",
    "RTX PRO 6000": "RTXPRO6000",
}


def skypilot_services(serving: ServingPlan, options: ExportOptions) -> Written:
    """Return a service YAML for every server, and the configuration of LiteLLM's proxy in front of them."""
    labels = distinct_labels((server.name for server in serving.servers), LONGEST_SERVICE_NAME)
    loras = (lora.name for server in serving.servers for lora in server.loras)
    merged = (server.merged for server in serving.servers if server.merged)
    folders = distinct_folders([*loras, *merged])
    tasks = {
        f"{labels[server.name]}.sky.yaml": [_skypilot_task(server, labels[server.name], folders, options)]
        for server in serving.servers
    }
    urls = {name: f"http://{label}:{options.port}" for name, label in labels.items()}
    config = proxy_config(model_list(serving, urls, options))
    return Written({**tasks, LITELLM_FILE: [config]}, _said_of_skypilot(serving, labels, folders, options))


def accelerator_of(hardware: str) -> str:
    """Return SkyPilot's name of a GPU for that in words; for one that is not known, its letters and digits."""
    known = (name for words, name in _ACCELERATORS.items() if re.search(rf"\b{re.escape(words)}\b", hardware))
    return next(known, re.sub(r"[^A-Za-z0-9-]+", "", hardware.removeprefix("NVIDIA ")) or "GPU")


def _skypilot_task(server: ServedServer, label: str, folders: dict[str, str], options: ExportOptions) -> Manifest:
    mounts = _file_mounts(server, folders, options)
    key = {API_KEY: None} if options.api_key else {}  # None: SkyPilot asks for a value
    return {
        "name": label,
        "service": {
            "readiness_probe": {"path": "/health", "initial_delay_seconds": MOST_STARTING_SECONDS},
            "replicas": 1,
        },
        "resources": {
            "accelerators": f"{accelerator_of(server.profile.hardware)}:{server.gpus}",
            "image_id": f"docker:{image_of(server, options)}",
            "ports": options.port,
        },
        "envs": {SERVER_VARIABLE: server.name, "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"},
        "secrets": {"HF_TOKEN": "", **key},
        **({"file_mounts": mounts} if mounts else {}),
        "run": _run_command(server, folders, options),
    }


def _run_command(server: ServedServer, folders: dict[str, str], options: ExportOptions) -> str:
    """Return the command of a server, with its adapters in the folders that `_file_mounts` gives them."""
    mounted = server._replace(loras=tuple(_as_mounted_file(lora, folders, options) for lora in server.loras))
    words = serve_words(mounted, options)
    if server.merged:
        words[0] = f"{options.merged_folder}/{folders[server.merged]}"
    return " \\\n  ".join(["exec vllm serve", *map(word, words)]) + "\n"


def _as_mounted_file(lora: LoraModule, folders: dict[str, str], options: ExportOptions) -> LoraModule:
    if lora.artifact and lora.artifact.scheme == "hf":
        return lora
    return lora._replace(artifact=Artifact("path", f"{options.adapters_folder}/{folders[lora.name]}"))


def _file_mounts(server: ServedServer, folders: dict[str, str], options: ExportOptions) -> dict[str, str]:
    """Return the folders that SkyPilot copies to a server: place by path on the server."""
    mounts = {
        f"{options.adapters_folder}/{folders[lora.name]}": source
        for lora in server.loras
        if (source := _copied_from(lora, folders))
    }
    if server.merged:
        folder = folders[server.merged]
        mounts[f"{options.merged_folder}/{folder}"] = f"./merged/{folder}"
    return mounts


def _copied_from(lora: LoraModule, folders: dict[str, str]) -> str | None:
    """Return the place that SkyPilot copies an adapter from; None: it copies nothing."""
    if lora.artifact is None:
        return f"./adapters/{folders[lora.name]}"
    if lora.artifact.scheme not in ("path", *_CLOUD_STORES) or not _SAFE_PLACE.fullmatch(lora.artifact.url):
        return None
    return lora.artifact.url.rstrip("/")


def _said_of_skypilot(
    serving: ServingPlan, labels: dict[str, str], folders: dict[str, str], options: ExportOptions
) -> list[str]:
    loras = [lora for server in serving.servers for lora in server.loras]
    said = [
        "Start each service with `sky serve up -n NAME NAME.sky.yaml`, NAME being that of the file.",
        f"SkyServe has no weights between services: run LiteLLM's proxy with {LITELLM_FILE}, which routes as planned.",
        f"The proxy asks its clients for the key in its environment variable {MASTER_KEY}.",
        *_said_of_addresses(labels, options),
        *_said_of_accelerators(serving.servers),
        *_said_of_folders(loras, serving, folders, options),
        *said_of_standbys(serving, "SkyServe starts a failed replica again where the cloud has GPUs"),
        "Give a token of Hugging Face, if the model needs one, with `--secret HF_TOKEN`.",
    ]
    if options.api_key:
        said.append(f"Give the API key of the servers with `--secret {API_KEY}`, and in the proxy's environment.")
    return said


def _said_of_addresses(labels: dict[str, str], options: ExportOptions) -> list[str]:
    unknown = [label for name, label in labels.items() if name not in options.urls]
    if not unknown:
        return []
    many = f"{len(unknown)} service{'s' if len(unknown) > 1 else ''}"
    said = f"SkyServe gives a service its address when it starts: {LITELLM_FILE} has assumed ones for {many}."
    return [f"{said} Read them with `sky serve status --endpoint {unknown[0]}`, give them by url and export again."]


def _said_of_accelerators(servers: Iterable[ServedServer]) -> list[str]:
    hardware = dict.fromkeys(server.profile.hardware for server in servers)
    return [f"{each} is asked for as {accelerator_of(each)}: compare with `sky gpus list`." for each in hardware]


def _said_of_folders(
    loras: list[LoraModule], serving: ServingPlan, folders: dict[str, str], options: ExportOptions
) -> list[str]:
    said = []
    without = [lora.name for lora in loras if lora.artifact is None]
    merged = [server.merged for server in serving.servers if server.merged]
    if any(lora.artifact and lora.artifact.scheme == "path" and _copied_from(lora, folders) for lora in loras):
        said.append("Artifacts that are folders are copied from the machine where a service is started.")
    if without:
        said.append(f"Adapters without an artifact: {_where_to_put('./adapters', without, folders)}.")
    if merged:
        said.append(f"Models with merged weights: {_where_to_put('./merged', merged, folders)}.")
    left = [
        lora for lora in loras if lora.artifact and lora.artifact.scheme != "hf" and not _copied_from(lora, folders)
    ]
    if left:
        first = left[0].artifact
        said.append(
            f"SkyPilot cannot copy the artifacts of {len(left)} adapter{'s' if len(left) > 1 else ''}, such as "
            f"{first.url if first else ''}: copy that one to {options.adapters_folder}/{folders[left[0].name]} in a "
            "setup command."
        )
    return said


def _where_to_put(parent: str, names: list[str], folders: dict[str, str]) -> str:
    """Say where weights must be when a service is started."""
    said = f"put the weights of each in {parent}/NAME beside the service files"
    changed = [name for name in names if folders[name] != name]
    return f"{said}, {parent}/{folders[changed[0]]} for {changed[0]}" if changed else said


SKYPILOT = Stack(
    title="SkyPilot: SkyServe services",
    version="skypilot 0.14",
    pins="`--lora-modules` in the `run` command of each server's service",
    weights="by LiteLLM's proxy, which `litellm.yaml` configures",
    merged="a service of the merged model, under the adapter's name",
    names="services become DNS labels of at most 30 characters; adapters keep their names, their folders get safe ones",
    write=skypilot_services,
)
