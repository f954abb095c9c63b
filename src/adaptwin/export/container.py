"""The vLLM container of a server in a cluster: image, arguments, environment, volumes and probes, as plain data."""

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

from adaptwin.errors import SpecError
from adaptwin.export.options import ExportOptions, SecretKey
from adaptwin.export.serving_plan import LoraModule, ServedServer
from adaptwin.export.vllm_flags import Flag, joined_words
from adaptwin.export.yaml_text import Manifest
from adaptwin.visible import quoted

MOST_STARTING_SECONDS = 1_800  # a large model is downloaded, loaded and compiled before the server answers
PROBE_SECONDS = 10
DOWNLOADS = "/downloads"
_COPYING = {  # scheme of an artifact that vLLM cannot load: image of what copies it before vLLM starts, and its command
    "s3": ("amazon/aws-cli:2.27.50", 'aws s3 cp --only-show-errors --recursive "$1" "$2"'),
    "gs": ("google/cloud-sdk:531.0.0-slim", 'mkdir -p "$2" && gcloud storage cp --recursive "$1/*" "$2"'),
}
_KNOWN = ("path", "hf", *_COPYING)  # schemes of artifacts that vLLM loads itself, or that are copied
_EXPANDED_DOLLAR = re.compile(r"\$(?=[$(])")  # a dollar before another one, or before a parenthesis


def image_of(server: ServedServer, options: ExportOptions) -> str:
    """Return the image of a server: the one given, or vLLM's own of the profile's version."""
    return options.image or f"vllm/vllm-openai:v{server.profile.vllm_version.removeprefix('v')}"


def model_of(server: ServedServer, options: ExportOptions) -> str:
    """Return what the server loads as its model: the base model, or the folder of the merged one."""
    return f"{options.merged_folder}/{server.merged}" if server.merged else server.base_model


def lora_path(lora: LoraModule, options: ExportOptions) -> str:
    """Return the path or repository that vLLM loads an adapter from in its container."""
    if lora.artifact is None:
        if {".", ".."} & {*lora.name.split("/")}:
            raise SpecError(f"{quoted(lora.name)} leads out of the folder of adapters: give it an artifact", "name")
        return f"{options.adapters_folder.rstrip('/')}/{lora.name}"
    if lora.artifact.scheme in _COPYING:
        return f"{DOWNLOADS}/{lora.artifact.scheme}/{lora.artifact.place}"
    return lora.artifact.for_vllm


def serve_words(
    server: ServedServer, options: ExportOptions, *, with_modules: bool = True, served_as: str | None = None
) -> list[str]:
    """Return the arguments of ``vllm serve`` in a container.

    Args:
        server: The server.
        options: Port and folders.
        with_modules: Whether the server loads its adapters as it starts; False: the stack loads them later.
        served_as: Name under which it serves its model; None: that of the plan.
    """
    flags = [Flag("port", (str(options.port),)), Flag("served-model-name", (served_as or server.served_model,))]
    words = [model_of(server, options), *joined_words((*flags, *server.flags, *server.lora_flags))]
    return [*words, *module_words(server, options)] if with_modules else words


def module_words(server: ServedServer, options: ExportOptions) -> list[str]:
    """Return ``--lora-modules`` and the adapters of a server in its container, as JSON; nothing if it has none."""
    modules = [{"name": lora.name, "path": lora_path(lora, options)} for lora in server.loras]
    return ["--lora-modules", *(json.dumps(module, ensure_ascii=False) for module in modules)] if modules else []


def kubernetes_words(words: Sequence[str]) -> list[str]:
    """Return arguments as Kubernetes reads them, which expands ``$(NAME)`` and takes ``$$`` for one dollar."""
    return [_EXPANDED_DOLLAR.sub("$$", word) for word in words]


def environment(options: ExportOptions) -> list[Manifest]:
    """Return the environment of a server's container: loading at run time, and secrets by reference."""
    variables: list[Manifest] = [
        {"name": "VLLM_ALLOW_RUNTIME_LORA_UPDATING", "value": "True"},
        secret_variable("HF_TOKEN", options.hf_token, optional=True),
    ]
    if options.api_key:
        variables.append(secret_variable("VLLM_API_KEY", options.api_key))
    return variables


def secret_variable(name: str, secret: SecretKey, *, optional: bool = False) -> Manifest:
    """Return an environment variable whose value is in a secret, which may be absent if `optional`."""
    reference: Manifest = {"name": secret.name, "key": secret.key}
    return {
        "name": name,
        "valueFrom": {"secretKeyRef": {**reference, "optional": True} if optional else reference},
    }


def gpu_limits(server: ServedServer, options: ExportOptions) -> Manifest:
    """Return the resources of a server's container."""
    return {"limits": {options.gpu_resource: str(server.gpus)}}


def server_container(
    server: ServedServer, options: ExportOptions, *, with_modules: bool = True, words: Sequence[str] | None = None
) -> Manifest:
    """Return the container of a server, which runs ``vllm serve`` with `words`, or with those of `serve_words`."""
    if words is None:
        words = serve_words(server, options, with_modules=with_modules)
    probe = {"httpGet": {"path": "/health", "port": options.port}, "periodSeconds": PROBE_SECONDS}
    return {
        "name": "vllm",
        "image": image_of(server, options),
        "command": ["vllm", "serve"],
        "args": kubernetes_words(words),
        "env": environment(options),
        "ports": [{"name": "http", "containerPort": options.port}],
        "resources": gpu_limits(server, options),
        "startupProbe": {**probe, "failureThreshold": MOST_STARTING_SECONDS // PROBE_SECONDS},
        "readinessProbe": probe,
        "livenessProbe": {**probe, "failureThreshold": 6},
        "volumeMounts": mounts(server, options, with_modules=with_modules),
    }


def mounts(server: ServedServer, options: ExportOptions, *, with_modules: bool = True) -> list[Manifest]:
    """Return the mounts of a server's container: shared memory, and the folders of weights that it reads."""
    found: list[Manifest] = [{"name": "shm", "mountPath": "/dev/shm"}]  # noqa: S108 - where NCCL and PyTorch look for it
    if with_modules and _needs_folder(server):
        found.append({"name": "adapters", "mountPath": options.adapters_folder, "readOnly": True})
    if server.merged:
        found.append({"name": "merged", "mountPath": options.merged_folder, "readOnly": True})
    if with_modules and _downloaded(server):
        found.append({"name": "downloads", "mountPath": DOWNLOADS, "readOnly": True})
    return found


def volumes(server: ServedServer, options: ExportOptions, *, with_modules: bool = True) -> list[Manifest]:
    """Return the volumes of a server's pod, for its `mounts`."""
    sources: Manifest = {
        "shm": {"emptyDir": {"medium": "Memory"}},
        "adapters": {"persistentVolumeClaim": {"claimName": options.adapters_claim, "readOnly": True}},
        "merged": {"persistentVolumeClaim": {"claimName": options.merged_claim, "readOnly": True}},
        "downloads": {"emptyDir": {}},
    }
    names = [mount["name"] for mount in mounts(server, options, with_modules=with_modules)]
    return [{"name": name, **sources[name]} for name in names]


class Copying(NamedTuple):
    """What copies artifacts that vLLM cannot load from where they are: one container for those of a scheme."""

    scheme: str
    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]  # places from and to, in turn


def copyings(servers: Sequence[ServedServer], options: ExportOptions) -> list[Copying]:
    """Return what copies the adapters of servers which vLLM cannot load from where they are, each adapter once."""
    found = []
    for scheme, (image, command) in _COPYING.items():
        pairs = dict(_from_and_to(lora, options) for server in servers for lora in _of_scheme(server, scheme))
        loop = f"while [ $# -gt 0 ]; do {{ {command}; }} || exit 1; shift 2; done"
        if pairs:
            args = tuple(word for pair in pairs.items() for word in pair)
            found.append(Copying(scheme, image, ("sh", "-c", loop, "download"), args))
    return found


def downloads(server: ServedServer, options: ExportOptions) -> list[Manifest]:
    """Return the init containers that copy the adapters which vLLM cannot load from where they are."""
    return [
        {
            "name": f"download-{copying.scheme}",
            "image": copying.image,
            "command": list(copying.command),
            "args": kubernetes_words(copying.args),
            "envFrom": [{"secretRef": {"name": options.storage_secret, "optional": True}}],
            "volumeMounts": [{"name": "downloads", "mountPath": DOWNLOADS}],
        }
        for copying in copyings([server], options)
    ]


def only_download(server: ServedServer, options: ExportOptions) -> Manifest | None:
    """Return one init container that does what all `downloads` do, for stacks that take only one; None: no download.

    The tool of Google Cloud, which comes last, copies from ``s3://`` too, with the same environment variables.
    """
    each = downloads(server, options)
    words = [word for container in each for word in container["args"]]
    return {**each[-1], "name": "download", "args": words} if each else None


def pod_spec(server: ServedServer, options: ExportOptions, words: Sequence[str] | None = None) -> Manifest:
    """Return the pod of a server: it loads its adapters as it starts, unless its arguments are other `words`."""
    first = downloads(server, options)
    return {
        "enableServiceLinks": False,  # a Service named vllm would set VLLM_PORT
        **({"initContainers": first} if first else {}),
        "containers": [server_container(server, options, words=words)],
        "volumes": volumes(server, options),
    }


def said_of_weights(servers: Sequence[ServedServer], options: ExportOptions) -> list[str]:
    """Say which weights must be where before the servers start, a line each."""
    loras = [lora for server in servers for lora in server.loras]
    said = []
    if any(lora.artifact is None for lora in loras):
        said.append(
            f"Adapters without an artifact: put each one's weights in a folder NAME at the root of the volume claim "
            f"{options.adapters_claim}, which servers have at {options.adapters_folder}."
        )
    elsewhere = [lora.artifact.place for lora in loras if lora.artifact and lora.artifact.scheme == "path"]
    if outside := [place for place in elsewhere if not place.startswith(f"{options.adapters_folder.rstrip('/')}/")]:
        said.append(
            f"{len(outside)} adapter{'s have paths' if len(outside) > 1 else ' has a path'} outside "
            f"{options.adapters_folder}, such as {outside[0]}: mount that folder in the servers."
        )
    said += said_of_unknown_artifacts(servers)
    if any(server.merged for server in servers):
        said.append(
            f"Put each model with merged weights in a folder NAME at the root of the volume claim "
            f"{options.merged_claim}, which servers have at {options.merged_folder}."
        )
    return said


def said_of_unknown_artifacts(servers: Sequence[ServedServer]) -> list[str]:
    """Say which artifact neither vLLM loads nor a container copies."""
    artifacts = [lora.artifact for server in servers for lora in server.loras if lora.artifact]
    if unknown := [artifact.url for artifact in artifacts if artifact.scheme not in _KNOWN]:
        return [f"vLLM cannot load {unknown[0]}, and nothing copies it: make it a folder, hf://, s3:// or gs://."]
    return []


def _of_scheme(server: ServedServer, *schemes: str) -> list[LoraModule]:
    return [lora for lora in server.loras if lora.artifact and lora.artifact.scheme in schemes]


def _from_and_to(lora: LoraModule, options: ExportOptions) -> tuple[str, str]:
    return (lora.artifact.url if lora.artifact else "", lora_path(lora, options))


def _needs_folder(server: ServedServer) -> bool:
    """Whether the server reads adapters from the folder of adapters."""
    return any(lora.artifact is None or lora.artifact.scheme == "path" for lora in server.loras)


def _downloaded(server: ServedServer) -> bool:
    """Whether adapters of the server are downloaded before it starts."""
    return bool(_of_scheme(server, *_COPYING))
