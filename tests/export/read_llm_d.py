"""Reader of exports to llm-d: Deployments, the pools that select their pods, and routes to the pools."""

from typing import Any

from tests.export.read_back import ReadBack, expanded, flags_of, modules_in, of_kind


def read_llm_d(files: dict[str, str], servers: list[str]) -> ReadBack:
    """Read what each server loads, and the weights of its pool; every name must be one that the server knows."""
    server_of = _servers_of_pools(files)
    loaded, flags, gpus = {}, {}, {}
    for server, deployment in server_of.values():
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        words = [*map(expanded, container["args"])]
        flags[server] = flags_of(words[1:])
        merged = {flags[server]["served-model-name"]} if words[0].startswith("/merged/") else set()
        loaded[server] = set(modules_in(words)) | merged
        gpus[server] = int(container["resources"]["limits"]["nvidia.com/gpu"])
    rewritten = _rewrites(files)
    routes: dict[str, dict[str, float]] = {}
    for route in of_kind(files, "HTTPRoute"):
        for rule in route["spec"]["rules"]:
            ((header,),) = (match["headers"] for match in rule["matches"])
            assert header["name"] == "X-Gateway-Model-Name"
            assert header["value"] not in routes
            weights = routes[header["value"]] = {}
            for backend in rule["backendRefs"]:
                server, _ = server_of[backend["name"]]
                asked = rewritten.get((backend["name"], header["value"]), header["value"])
                assert asked in {*loaded[server], flags[server]["served-model-name"]}
                weights[server] = backend["weight"]
    return ReadBack(loaded, routes, flags, gpus)


def _servers_of_pools(files: dict[str, str]) -> dict[str, tuple[str, Any]]:
    """Return the server of each pool and its Deployment: the only one whose pods the pool selects."""
    found = {}
    for pool in of_kind(files, "InferencePool"):
        selector = pool["spec"]["selector"]["matchLabels"].items()
        (selected,) = (
            deployment
            for deployment in of_kind(files, "Deployment")
            if selector <= deployment["spec"]["template"]["metadata"]["labels"].items()
        )
        ((port,),) = (container["ports"] for container in selected["spec"]["template"]["spec"]["containers"])
        assert pool["spec"]["targetPorts"] == [{"number": port["containerPort"]}]
        found[pool["metadata"]["name"]] = (selected["metadata"]["annotations"]["adaptwin/server"], selected)
    return found


def _rewrites(files: dict[str, str]) -> dict[tuple[str, str], str]:
    """Return the model that a pool's server is asked for, by pool and name in the request."""
    return {
        (each["spec"]["poolRef"]["name"], match["model"]["value"]): target["modelRewrite"]
        for each in of_kind(files, "InferenceModelRewrite")
        for rule in each["spec"]["rules"]
        for match in rule["matches"]
        for target in rule["targets"]
    }
