"""Reader of Dynamo's files: which adapters its operator loads on each worker, and what each frontend serves."""

import re

from tests.export.read_back import ReadBack, expanded, flags_of, of_kind
from tests.export.read_routes import asked_routes, assert_all_are_served, known_in_plan


def read_dynamo(files: dict[str, str], servers: list[str]) -> ReadBack:
    """Read DynamoGraphDeployments, DynamoModels and the routes of LiteLLM's proxy to the frontends."""
    urls, flags, gpus, merged, names = {}, {}, {}, {}, {}
    for graph in of_kind(files, "DynamoGraphDeployment"):
        server, label = graph["metadata"]["annotations"]["adaptwin/server"], graph["metadata"]["name"]
        frontend, worker = graph["spec"]["components"]
        assert (frontend["type"], worker["type"]) == ("frontend", "worker")
        urls[f"http://{label}-{frontend['name'].lower()}.default.svc:8000/v1"] = server
        (container,) = worker["podTemplate"]["spec"]["containers"]
        flags[server] = flags_of([expanded(word) for word in container["args"]])
        gpus[server] = int(container["resources"]["limits"]["nvidia.com/gpu"])
        model = flags[server]["model"]
        merged[server] = {model.removeprefix("/merged/")} if model.startswith("/merged/") else set()
        reference = worker["modelRef"]["name"]
        models = [each["spec"] for each in of_kind(files, "DynamoModel")]
        names[server] = {each["modelName"] for each in models if each["baseModelName"] == reference}
    routes, asked = asked_routes(files, urls.__getitem__)
    served = {server: re.split(r"[\s,]+", flags[server]["served-model-name"]) for server in flags}
    assert_all_are_served(asked, {server: names[server] | set(served[server]) for server in flags})
    loaded = {server: known_in_plan(asked, server, names[server]) | merged[server] for server in flags}
    return ReadBack(loaded, routes, flags, gpus)
