"""The routes of LiteLLM's proxy in a cluster, for stacks that know adapters by other names than the plan's."""

from collections.abc import Callable
from typing import Any

from tests.export.read_back import documents, litellm_routes, of_kind

Asked = dict[tuple[str, str], set[str]]  # names in the plan, by server and the name that it is asked for


def proxy_entries(files: dict[str, str]) -> list[Any]:
    """Return the entries of the model list in all ConfigMaps of the proxy."""
    texts = [text for each in of_kind(files, "ConfigMap") for text in each["data"].values()]
    return [entry for text in texts for part in documents(text) for entry in part["model_list"]]


def asked_routes(files: dict[str, str], server_of: Callable[[str], str]) -> tuple[dict[str, dict[str, float]], Asked]:
    """Return the weights of the routes, and what each server is asked for."""
    entries = proxy_entries(files)
    asked: Asked = {}
    for entry in entries:
        given = entry["litellm_params"]
        provider, _, name = given["model"].partition("/")
        assert provider == "hosted_vllm"
        asked.setdefault((server_of(given["api_base"]), name), set()).add(entry["model_name"])
    return litellm_routes({"model_list": entries}, server_of), asked


def known_in_plan(asked: Asked, server: str, names: set[str]) -> set[str]:
    """Return the plan's names of adapters that a server loads under other names; each must be asked for, by one."""
    found = set()
    for name in names:
        (known,) = asked[server, name]
        found.add(known)
    return found


def assert_all_are_served(asked: Asked, served: dict[str, set[str]]) -> None:
    """Check that servers are asked only for what they serve."""
    assert [(server, name) for server, name in asked if name not in served[server]] == []
