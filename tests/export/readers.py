"""Readers of exported files by stack: each says what placement the files hold."""

import shlex

from tests.export.read_aibrix import read_aibrix
from tests.export.read_back import (
    ReadBack,
    Reader,
    documents,
    expanded,
    flags_of,
    litellm_routes,
    modules_in,
    of_kind,
)
from tests.export.read_compose import read_compose
from tests.export.read_csv import read_csv
from tests.export.read_dynamo import read_dynamo
from tests.export.read_envoy_ai_gateway import read_envoy_ai_gateway
from tests.export.read_kserve import read_kserve
from tests.export.read_kubeai import read_kubeai
from tests.export.read_llm_d import read_llm_d
from tests.export.read_production_stack import read_production_stack
from tests.export.read_ray_serve import read_ray_serve
from tests.export.read_skypilot import read_skypilot

from adaptwin.export.names import dns_label


def read_vllm(files: dict[str, str], servers: list[str]) -> ReadBack:
    """Read a script, whose commands come in the order of the plan's servers."""
    lines = files["serve.sh"].replace("\\\n", " ").splitlines()
    commands = [shlex.split(line.removesuffix(" &")) for line in lines if " vllm serve " in line]
    loaded, flags, gpus = {}, {}, {}
    for server, words in zip(servers, commands, strict=True):
        flags[server] = flags_of(words)
        model = words[words.index("serve") + 1]
        merged = {model.removeprefix("$MERGED/")} if model.startswith("$MERGED/") else set()
        loaded[server] = set(modules_in(words)) | merged
        (devices,) = (word.partition("=")[2] for word in words if word.startswith("CUDA_VISIBLE_DEVICES="))
        gpus[server] = len(devices.split(","))
    return ReadBack(loaded, None, flags, gpus)


def read_kubernetes(files: dict[str, str], servers: list[str]) -> ReadBack:
    """Read Deployments, and the routes of LiteLLM's proxy to the Services in front of them."""
    loaded, flags, gpus = {}, {}, {}
    for each in of_kind(files, "Deployment"):
        (container,) = each["spec"]["template"]["spec"]["containers"]
        server = each["metadata"].get("annotations", {}).get("adaptwin/server")
        if server is None:
            continue
        words = [*map(expanded, container["args"])]
        flags[server] = flags_of(words[1:])
        merged = {flags[server]["served-model-name"]} if words[0].startswith("/merged/") else set()
        loaded[server] = set(modules_in(words)) | merged
        gpus[server] = int(container["resources"]["limits"]["nvidia.com/gpu"])
    services = {
        f"http://{each['metadata']['name']}.{each['metadata']['namespace']}.svc:8000/v1": annotated
        for each in of_kind(files, "Service")
        if (annotated := each["metadata"].get("annotations", {}).get("adaptwin/server"))
    }
    (config,) = of_kind(files, "ConfigMap")
    (text,) = config["data"].values()
    (router,) = documents(text)
    return ReadBack(loaded, litellm_routes(router, services.__getitem__), flags, gpus)


def read_litellm(files: dict[str, str], servers: list[str]) -> ReadBack:
    """Read the configuration of LiteLLM's proxy, whose addresses are the servers' labels."""
    urls = {f"http://{dns_label(server)}:8000/v1": server for server in servers}
    (config,) = documents(files["litellm.yaml"])
    return ReadBack(None, litellm_routes(config, urls.__getitem__), None)


READERS: dict[str, Reader] = {
    "vllm": read_vllm,
    "kubernetes": read_kubernetes,
    "litellm": read_litellm,
    "production-stack": read_production_stack,
    "aibrix": read_aibrix,
    "dynamo": read_dynamo,
    "llm-d": read_llm_d,
    "kserve": read_kserve,
    "kubeai": read_kubeai,
    "envoy-ai-gateway": read_envoy_ai_gateway,
    "compose": read_compose,
    "ray-serve": read_ray_serve,
    "skypilot": read_skypilot,
    "csv": read_csv,
}
