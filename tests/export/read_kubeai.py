"""Reader of exports to KubeAI: Models with their adapters, asked for by LiteLLM's proxy as ``<model>_<adapter>``."""

from tests.export.read_back import ReadBack, expanded, flags_of, of_kind
from tests.export.read_kserve import asked, entries


def read_kubeai(files: dict[str, str], servers: list[str]) -> ReadBack:
    """Read what each Model loads, under the names that the proxy has for it."""
    models = {each["metadata"]["name"]: each for each in of_kind(files, "Model")}
    server_of = {name: each["metadata"]["annotations"]["adaptwin/server"] for name, each in models.items()}
    names: dict[tuple[str, str], str] = {}  # by model and adapter, which is empty for the model itself
    routes: dict[str, dict[str, float]] = {}
    for entry in entries(files):
        assert entry["litellm_params"]["api_base"] == "http://kubeai.default.svc/openai/v1"
        model, _, adapter = asked(entry).partition("_")
        names[model, adapter] = entry["model_name"]
        assert server_of[model] not in routes.setdefault(entry["model_name"], {})
        routes[entry["model_name"]][server_of[model]] = entry["litellm_params"]["weight"]
    loaded, flags, gpus = {}, {}, {}
    for model, each in models.items():
        server, spec = server_of[model], each["spec"]
        adapters = [adapter["name"] for adapter in spec.get("adapters", [])]
        loaded[server] = {names[model, adapter] for adapter in adapters}
        assert len(loaded[server]) == len(adapters)
        if spec["url"].startswith("pvc://merged/"):
            loaded[server].add(names[model, ""])
        flags[server] = flags_of([*map(expanded, spec["args"])])
        if adapters:
            flags[server]["enable-lora"] = ""
        gpus[server] = int(spec["resourceProfile"].partition(":")[2])
    return ReadBack(loaded, routes, flags, gpus)
