"""Reader of AIBrix's files: on which pods its controller loads each ModelAdapter."""

from typing import Any

from tests.export.read_back import ReadBack, expanded, flags_of, of_kind
from tests.export.read_routes import asked_routes, assert_all_are_served, known_in_plan


def read_aibrix(files: dict[str, str], servers: list[str]) -> ReadBack:
    """Read Deployments, Services, ModelAdapters and the routes of LiteLLM's proxy."""
    pods, flags, gpus, merged = {}, {}, {}, {}
    for each in of_kind(files, "Deployment"):
        if server := each["metadata"].get("annotations", {}).get("adaptwin/server"):
            pod = each["spec"]["template"]
            (container,) = pod["spec"]["containers"]
            words = [expanded(word) for word in container["args"]]
            assert matches(each["spec"]["selector"]["matchLabels"], pod["metadata"]["labels"])
            pods[server] = pod["metadata"]["labels"]
            flags[server] = flags_of(words[1:])
            gpus[server] = int(container["resources"]["limits"]["nvidia.com/gpu"])
            merged[server] = {words[0].removeprefix("/merged/")} if words[0].startswith("/merged/") else set()
    routes, asked = asked_routes(files, server_by_url(files, pods).__getitem__)
    names = {server: names_on(files, labels) for server, labels in pods.items()}
    assert_all_are_served(asked, {server: names[server] | {flags[server]["served-model-name"]} for server in flags})
    loaded = {server: known_in_plan(asked, server, names[server]) | merged[server] for server in pods}
    return ReadBack(loaded, routes, flags, gpus)


def matches(wanted: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether labels have all that a selector wants."""
    return wanted.items() <= labels.items()


def names_on(files: dict[str, str], labels: dict[str, str]) -> set[str]:
    """Return the ModelAdapters that AIBrix loads on a pod: it heeds matchLabels, and nothing else of a selector."""
    adapters = of_kind(files, "ModelAdapter")
    return {
        each["metadata"]["name"] for each in adapters if matches(each["spec"]["podSelector"]["matchLabels"], labels)
    }


def server_by_url(files: dict[str, str], pods: dict[str, Any]) -> dict[str, str]:
    """Return the server behind each Service's address."""
    found = {}
    for each in of_kind(files, "Service"):
        behind = [server for server, labels in pods.items() if matches(each["spec"]["selector"], labels)]
        if behind:
            (server,) = behind
            found[f"http://{each['metadata']['name']}.{each['metadata']['namespace']}.svc:8000/v1"] = server
    return found
