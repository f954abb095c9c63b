"""Reader of Compose files: interpolates variables as Compose does, then reads each service."""

import re

from tests.export.read_back import ReadBack, documents, flags_of, litellm_routes, modules_in

VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|\{(?P<name>[A-Za-z_]\w*)(?:(?P<sign>:?[-?])(?P<rest>[^}]*))?\}|(?P<plain>[A-Za-z_]\w*))"
)


def interpolated(value, environment):
    """Return a value of a Compose file with variables replaced; raises `ValueError` where Compose does."""
    if isinstance(value, dict):
        return {key: interpolated(each, environment) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolated(each, environment) for each in value]
    if not isinstance(value, str):
        return value
    if "$" in VARIABLE.sub("", value):
        raise ValueError(f"invalid interpolation: {value}")

    def replaced(match):
        if match["escaped"]:
            return "$"
        found = environment.get(match["name"] or match["plain"], "")
        if not found and match["sign"] in (":?", "?"):
            raise ValueError(match["rest"])
        return found or match["rest"] or ""

    return VARIABLE.sub(replaced, value)


def compose_of(files, **environment):
    """Return the Compose file as Compose takes it in an environment, which has the key of the proxy."""
    (document,) = documents(files["compose.yaml"])
    return interpolated(document, {"LITELLM_MASTER_KEY": "sk-1", **environment})


def servers_of(compose):
    """Return the services of servers by the plan's names."""
    services = compose["services"].values()
    return {service["labels"]["adaptwin.server"]: service for service in services if "labels" in service}


def read_compose(files: dict[str, str], servers: list[str]) -> ReadBack:
    """Read the services, and the routes of the proxy's configuration to their names and ports."""
    compose = compose_of(files)
    loaded, flags, gpus, urls = {}, {}, {}, {}
    for label, service in compose["services"].items():
        if (server := service.get("labels", {}).get("adaptwin.server")) is None:
            continue
        model, *words = service["command"]
        flags[server] = flags_of(words)
        loaded[server] = set(modules_in(words))
        if model.startswith("/merged/"):
            loaded[server].add(flags[server]["served-model-name"])
        (devices,) = service["deploy"]["resources"]["reservations"]["devices"]
        gpus[server] = len(devices["device_ids"])
        urls[f"http://{label}:{flags[server]['port']}/v1"] = server
    (config,) = documents(files["litellm.yaml"])
    return ReadBack(loaded, litellm_routes(config, urls.__getitem__), flags, gpus)
