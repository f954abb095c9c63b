"""Reader of exports to KServe: services with their adapters and flags, and the proxy's routes to their Services."""

import shlex
from typing import Any

from tests.export.read_back import ReadBack, documents, expanded, flags_of, litellm_routes, modules_in, of_kind

FIELDS = {"maxRank": "max-lora-rank", "maxAdapters": "max-loras", "maxCpuAdapters": "max-cpu-loras"}


def read_kserve(files: dict[str, str], servers: list[str]) -> ReadBack:
    """Read what each service loads; the proxy must ask each one for a name that it knows."""
    loaded, flags, gpus, known, urls = {}, {}, {}, {}, {}
    for each in of_kind(files, "LLMInferenceService"):
        server = rendered(each["metadata"]["annotations"]["adaptwin/server"])
        model, words, container = each["spec"]["model"], additional_words(each), main_container(each)
        assert not ("lora" in model and "--lora-modules" in words)  # KServe leaves its own out then
        fields = model.get("lora", {"adapters": []})
        loaded[server] = {adapter["name"] for adapter in fields["adapters"]} | set(modules_in(words))
        flags[server] = {**flags_of(words), **{FIELDS[name]: str(fields[name]) for name in FIELDS if name in fields}}
        if fields["adapters"]:
            flags[server]["enable-lora"] = ""
        if "parallelism" in each["spec"]:
            flags[server]["tensor-parallel-size"] = str(each["spec"]["parallelism"]["tensor"])
        gpus[server] = int(container["resources"]["limits"]["nvidia.com/gpu"])
        known[server] = {*loaded[server], model["name"]}
        urls[f"http://{each['metadata']['name']}-kserve-workload-svc.default.svc:8000/v1"] = server
        if model["uri"].startswith("pvc://merged/"):
            loaded[server] |= {entry["model_name"] for entry in entries(files) if server_of(entry, urls) == server}
    for entry in entries(files):
        assert asked(entry) in known[server_of(entry, urls)]
    return ReadBack(loaded, litellm_routes({"model_list": entries(files)}, urls.__getitem__), flags, gpus)


def rendered(text: str) -> str:
    """Return text as Go renders it as a template that has no actions but quoted text."""
    *parts, last = text.split("{{`{{`}}")
    assert all("{{" not in part for part in (*parts, last))
    return "{{".join([*parts, last])


def main_container(service: Any) -> Any:
    """Return the container of vLLM."""
    (container,) = service["spec"]["template"]["containers"]
    assert container["name"] == "main"
    return container


def additional_words(service: Any) -> list[str]:
    """Return the words that KServe's shell script adds to ``vllm serve``."""
    (value,) = (each["value"] for each in main_container(service)["env"] if each["name"] == "VLLM_ADDITIONAL_ARGS")
    return shlex.split(expanded(rendered(value)))


def entries(files: dict[str, str]) -> list[Any]:
    """Return the entries of the proxy's model list."""
    (config,) = of_kind(files, "ConfigMap")
    (text,) = config["data"].values()
    (router,) = documents(text)
    return router["model_list"]


def asked(entry: Any) -> str:
    """Return the name that the proxy asks a server for."""
    return entry["litellm_params"]["model"].removeprefix("hosted_vllm/")


def server_of(entry: Any, urls: dict[str, str]) -> str | None:
    """Return the server of an entry; None if its address is not among the given ones."""
    return urls.get(entry["litellm_params"]["api_base"])
