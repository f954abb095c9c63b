"""ReadBack: a placement as it is read again from the files of an export, stack by stack."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import yaml


class ReadBack(NamedTuple):
    """What the files of an export say. None stands for what the stack's files do not hold."""

    loaded: dict[str, set[str]] | None  # by server: the adapters that it loads, merged ones included
    routes: dict[str, dict[str, float]] | None  # by adapter: weight of each server
    flags: dict[str, dict[str, str]] | None  # by server: flags of vLLM with their values, empty for those without
    gpus: dict[str, int] | None = None  # by server


Reader = Callable[[dict[str, str], list[str]], ReadBack]  # from files, and the names of the plan's servers


def documents(text: str) -> list[Any]:
    """Return the documents of a YAML text."""
    return [document for document in yaml.safe_load_all(text) if document is not None]


def of_kind(files: dict[str, str], kind: str) -> list[Any]:
    """Return the objects of a kind in all files."""
    return [
        each
        for text in files.values()
        for each in documents(text)
        if isinstance(each, dict) and each.get("kind") == kind
    ]


def flags_of(words: Sequence[str]) -> dict[str, str]:
    """Return the flags among the words of a command, with their values; those of ``--lora-modules`` are left out."""
    flags: dict[str, str] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            flags[name] = value
        elif name and name != "lora-modules":
            flags[name] = f"{flags[name]} {word}".strip()
    flags.pop("lora-modules", None)
    return flags


def modules_in(words: Sequence[str]) -> dict[str, str]:
    """Return names and paths of the adapters after ``--lora-modules``, as vLLM reads them."""
    if "--lora-modules" not in words:
        return {}
    found = {}
    for value in words[list(words).index("--lora-modules") + 1 :]:
        if value.startswith("--"):
            break
        module = json.loads(value) if "," in value else dict(zip(("name", "path"), value.split("="), strict=True))
        found[module["name"]] = module["path"]
    return found


def expanded(text: str) -> str:
    """Return text of a container as Kubernetes expands it; a reference to a variable, ``$(NAME)``, fails."""
    found = re.findall(r"\$\$|\$\(|[^$]+|\$", text)
    assert "$(" not in found
    return "".join("$" if part == "$$" else part for part in found)


def litellm_routes(config: Any, server_of: Callable[[str], str]) -> dict[str, dict[str, float]]:
    """Return the weight of each server by model name, in a configuration of LiteLLM's proxy."""
    routes: dict[str, dict[str, float]] = {}
    for entry in config["model_list"]:
        given = entry["litellm_params"]
        server = server_of(given["api_base"])
        assert server not in routes.setdefault(entry["model_name"], {})
        routes[entry["model_name"]][server] = given["weight"]
    return routes
