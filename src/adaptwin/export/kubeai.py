"""Export to KubeAI: a Model for every server, and LiteLLM's proxy that asks for adapters by their plan's names."""

import re

from adaptwin.export.container import image_of, kubernetes_words
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

_LONGEST_MODEL_NAME = 40
_LOADED_FROM = ("hf", "s3", "gs", "oss")
_KUBEAI_MODEL_URL = re.compile(r"(?:hf|s3|pvc)://[A-Za-z0-9._:/-]+")


def kubeai_manifests(serving: ServingPlan, options: ExportOptions) -> Written:
    """Return a Model for every server, the resource profiles they name, and LiteLLM's proxy in front of KubeAI.

    KubeAI knows an adapter as ``<model>_<adapter>``, with labels for both.
    """
    labels = distinct_labels((server.name for server in serving.servers), _LONGEST_MODEL_NAME)
    adapters = distinct_labels(lora.name for server in serving.servers for lora in server.loras)

    def asked(place: Destination) -> str:
        model = labels[place.server.name]
        return model if place.model == place.server.served_model else f"{model}_{adapters[place.model]}"

    models = [_kubeai_model(server, labels[server.name], adapters, options) for server in serving.servers]
    urls = dict.fromkeys(labels, f"http://kubeai.{options.namespace}.svc/openai")
    without_key = options.model_copy(update={"api_key": None})
    files: dict[str, str | list[Manifest]] = {
        "kubeai-values.yaml": [{"resourceProfiles": _resource_profiles(serving, options)}],
        "models.yaml": models,
        "router.yaml": proxy_manifests(serving, urls, without_key, asked),
    }
    return Written(files, _said_of_kubeai(serving, options))


def _kubeai_model(server: ServedServer, label: str, adapters: dict[str, str], options: ExportOptions) -> Manifest:
    lora_flags = [flag for flag in server.lora_flags if not (server.loras and flag.name == "enable-lora")]
    return {
        "apiVersion": "kubeai.org/v1",
        "kind": "Model",
        "metadata": server_metadata(server, label, options),
        "spec": {
            "features": ["TextGeneration"],
            "engine": "VLLM",
            "url": _kubeai_model_url(server, options),
            "image": image_of(server, options),
            "resourceProfile": f"{_resource_profile(server)}:{server.gpus}",
            "minReplicas": 1,
            "maxReplicas": 1,
            "args": kubernetes_words(joined_words((*server.flags, *lora_flags))),
            **(
                {
                    "adapters": [
                        {"name": adapters[lora.name], "url": _adapter_url(lora, adapters[lora.name], options)}
                        for lora in server.loras
                    ]
                }
                if server.loras
                else {}
            ),
        },
    }


def _kubeai_model_url(server: ServedServer, options: ExportOptions) -> str:
    if server.merged:
        return f"pvc://{options.merged_claim}/{dns_label(server.merged)}"
    return artifact_of(server.base_model).url


def _adapter_url(lora: LoraModule, label: str, options: ExportOptions) -> str:
    """Return where KubeAI loads an adapter from: its artifact, or a bucket for one that is in a folder."""
    if lora.artifact and lora.artifact.scheme in _LOADED_FROM:
        return lora.artifact.url
    return f"s3://{options.adapters_claim}/{label}"


def _resource_profile(server: ServedServer) -> str:
    return dns_label(server.profile.name)


def _resource_profiles(serving: ServingPlan, options: ExportOptions) -> Manifest:
    """Return KubeAI's resource profiles of one GPU of each type."""
    return {
        _resource_profile(server): {"limits": {options.gpu_resource: "1"}, **node_selector(server, serving)}
        for server in serving.servers
    }


def _said_of_kubeai(serving: ServingPlan, options: ExportOptions) -> list[str]:
    loras = [lora for server in serving.servers for lora in server.loras]
    folders = {lora.name for lora in loras if not (lora.artifact and lora.artifact.scheme in _LOADED_FROM)}
    said = ["Install KubeAI, or upgrade it, with the resource profiles of kubeai-values.yaml (helm --values)."]
    if folders:
        said.append(
            f"KubeAI loads adapters from no volume: upload the weights of {len(folders)} adapters to "
            f"s3://{options.adapters_claim}/NAME, with the NAME that models.yaml has (the option adapters_claim is the "
            "bucket)."
        )
    if merged := [server.merged for server in serving.servers if server.merged]:
        names = ", ".join(f"{quoted(name)} in {dns_label(name)}" for name in merged)
        said.append(f"Put models with merged weights in the volume claim {options.merged_claim}: {names}.")
    urls = {_kubeai_model_url(server, options) for server in serving.servers}
    if unknown := sorted(url for url in urls if not _KUBEAI_MODEL_URL.fullmatch(url)):
        said.append(f"KubeAI loads models from hf://, s3:// and pvc:// only: change the url {quoted(unknown[0])}.")
    if options.api_key:
        said.append("KubeAI loads adapters into its servers without an API key: the servers ask for none.")
    return [
        *said,
        "KubeAI downloads with the secrets of its Helm values: secrets.huggingface, secrets.aws and secrets.gcp.",
        f"KubeAI must run in the namespace {options.namespace}, as its Service kubeai: give another address by url.",
        *said_of_gpu_types(serving),
        *said_of_standbys(serving, "KubeAI starts a failed server again where GPUs are free"),
        "KubeAI has other names for adapters, and no weights: router.yaml runs LiteLLM's proxy, which has both.",
    ]


KUBEAI = Stack(
    title="KubeAI: Model",
    version="kubeai.org/v1 of KubeAI 0.22",
    pins="`adapters` of each server's `Model`",
    weights="by LiteLLM's proxy, in `router.yaml`",
    merged="a `Model` of the merged model, from a folder of the claim",
    names="servers become DNS labels of at most 40 characters, adapters of at most 63; the proxy keeps their names",
    write=kubeai_manifests,
)
