"""Reader of the production stack's files: what its Helm chart and its controller of LoraAdapters make of them."""

from typing import Any

import yaml
from tests.export.read_back import ReadBack, documents, expanded, flags_of, of_kind
from tests.export.read_routes import asked_routes, assert_all_are_served, known_in_plan

RELEASE = "adaptwin"


def chart_command(engine: Any, model: Any) -> list[str]:
    """Return the command that the chart's template writes for a model."""
    given = model["vllmConfig"]
    words = ["vllm", "serve", model["modelURL"], "--host", "0.0.0.0", "--port", str(engine["containerPort"])]  # noqa: S104 - the chart's
    words += ["--enable-lora"] if model["enableLoRA"] else []
    if "enableChunkedPrefill" in given:
        words.append("--enable-chunked-prefill" if given["enableChunkedPrefill"] else "--no-enable-chunked-prefill")
    words.append("--enable-prefix-caching" if given.get("enablePrefixCaching") else "--no-enable-prefix-caching")
    for field, flag in (
        ("maxModelLen", "--max-model-len"),
        ("tensorParallelSize", "--tensor-parallel-size"),
        ("maxNumSeqs", "--max-num-seqs"),
        ("gpuMemoryUtilization", "--gpu_memory_utilization"),
        ("maxLoras", "--max_loras"),
    ):
        if field in given:
            words += [flag, as_helm_prints(given[field])]
    return words + given["extraArgs"]


def as_helm_prints(value: Any) -> str:
    """Return a value of the file as a template prints it: Go reads a number as floating point."""
    if isinstance(value, str):
        return value
    return str(value) if value < 1_000_000 else f"{value:.6e}"


def read_production_stack(files: dict[str, str], servers: list[str]) -> ReadBack:
    """Read the values of the chart, the LoraAdapters and the routes of LiteLLM's proxy."""
    (values,) = documents(files["values.yaml"])
    engine = values["servingEngineSpec"]
    server_of_model, flags, gpus, merged = {}, {}, {}, {}
    for model in engine["modelSpec"]:
        (label,) = yaml.safe_load(f"- {model['name']}")  # the chart writes it without quotes into labels
        assert label == model["name"]
        server = server_of_model[label] = model["annotations"]["adaptwin/server"]
        words = [expanded(word) for word in chart_command(engine, model)]
        flags[server] = {name.replace("_", "-"): value for name, value in flags_of(words[3:]).items()}
        gpus[server] = int(model["resources"]["limits"]["nvidia.com/gpu"])
        merged[server] = {words[2].removeprefix("/merged/")} if words[2].startswith("/merged/") else set()
    urls = {
        f"http://{RELEASE}-{label}-engine-service.default.svc:{engine['servicePort']}/v1": server
        for label, server in server_of_model.items()
    }
    routes, asked = asked_routes(files, urls.__getitem__)
    names = names_by_server(files, server_of_model)
    assert_all_are_served(asked, {server: names[server] | {flags[server]["served-model-name"]} for server in flags})
    loaded = {server: known_in_plan(asked, server, names[server]) | merged[server] for server in flags}
    return ReadBack(loaded, routes, flags, gpus)


def names_by_server(files: dict[str, str], server_of_model: dict[str, str]) -> dict[str, set[str]]:
    """Return the names that each server loads adapters under, once the controller has come to rest.

    It loads an adapter on all servers of a LoraAdapter's base model, and unloads that name from all others.
    """
    loaded: dict[str, set[str]] = {server: set() for server in server_of_model.values()}
    for each in of_kind(files, "LoraAdapter"):
        name, at = each["spec"]["adapterSource"]["adapterName"], server_of_model[each["spec"]["baseModel"]]
        for server, names in loaded.items():
            names.discard(name)
            if server == at:
                names.add(name)
    return loaded
