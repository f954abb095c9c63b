"""Reader of a RayService: LLMConfigs, the table of copies, and the proxy's routes by names of models."""

import csv
import io

from tests.export.read_back import ReadBack, documents, of_kind

ADDRESS = "http://adaptwin-serve-svc.default.svc:8000/v1"


def service_of(files):
    """Return the RayService."""
    (service,) = of_kind({"rayservice.yaml": files["rayservice.yaml"]}, "RayService")
    return service


def serve_config_of(files):
    """Return the configuration of Ray Serve in the RayService."""
    (config,) = documents(service_of(files)["spec"]["serveConfigV2"])
    return config


def llm_configs(files):
    """Return the LLMConfigs by the plan's names of servers."""
    names = {
        key.removeprefix("adaptwin.server/"): name for key, name in service_of(files)["metadata"]["annotations"].items()
    }
    (application,) = serve_config_of(files)["applications"]
    return {names[each["model_loading_config"]["model_id"]]: each for each in application["args"]["llm_configs"]}


def copies_of(files):
    """Return the rows of the table of copies."""
    return list(csv.DictReader(io.StringIO(files.get("copies.csv", ""), newline="")))


def flags_in(config):
    """Return the arguments of an engine as flags of vLLM."""
    values = config["engine_kwargs"].items()
    return {
        name.replace("_", "-"): "" if value is True else " ".join(value) if isinstance(value, list) else str(value)
        for name, value in values
        if value is not False
    }


def read_ray_serve(files: dict[str, str], servers: list[str]) -> ReadBack:
    """Read what every server finds in its folder, and where the proxy's names of models lead."""
    configs = llm_configs(files)
    folders = {  # by model as Ray knows it: the adapter whose weights are there
        row["model"]: row["adapter"] for row in copies_of(files)
    }
    loaded, by_id = {}, {}
    for server, config in configs.items():
        loading = config["model_loading_config"]
        by_id[loading["model_id"]] = server
        path = (config.get("lora_config") or {}).get("dynamic_lora_loading_path")
        own = [row for row in copies_of(files) if path and row["to"].rpartition("/")[0] == path]
        assert {row["server"] for row in own} <= {server}
        loaded[server] = {row["adapter"] for row in own}
        for row in own:
            assert row["model"] == f"{loading['model_id']}:{row['to'].rpartition('/')[2]}"
        if loading["model_source"].startswith("/merged/"):
            loaded[server].add(loading["model_source"].removeprefix("/merged/"))
    (maps,) = of_kind({"router.yaml": files["router.yaml"]}, "ConfigMap")
    (router,) = documents(maps["data"]["config.yaml"])
    routes = {}
    for entry in router["model_list"]:
        given = entry["litellm_params"]
        assert given["api_base"] == ADDRESS
        model = given["model"].removeprefix("hosted_vllm/")
        if ":" in model:
            assert folders[model] == entry["model_name"]
        routes.setdefault(entry["model_name"], {})[by_id[model.partition(":")[0]]] = given["weight"]
    gpus = {server: len(config["placement_group_config"]["bundles"]) for server, config in configs.items()}
    return ReadBack(loaded, routes, {server: flags_in(config) for server, config in configs.items()}, gpus)
