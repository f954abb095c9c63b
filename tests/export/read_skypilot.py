"""Reader of SkyPilot's service files: the words of each command as a shell splits them, and what is copied where."""

import shlex

from tests.export.read_back import ReadBack, documents, flags_of, litellm_routes, modules_in

MERGED = "/merged/"


def tasks_of(files):
    """Return the tasks by their services' names, which their files have."""
    named = {name.removesuffix(".sky.yaml"): text for name, text in files.items() if name.endswith(".sky.yaml")}
    found = {}
    for name, text in named.items():
        (found[name],) = documents(text)
        assert found[name]["name"] == name
    return found


def words_of(task):
    """Return the words of ``vllm serve`` in a task's command."""
    start, command, serve, *words = shlex.split(task["run"].replace("\\\n", " "))
    assert [start, command, serve] == ["exec", "vllm", "serve"]
    return words


def read_skypilot(files: dict[str, str], servers: list[str]) -> ReadBack:
    """Read the tasks, and the routes of the proxy's configuration, whose addresses are the services' names."""
    loaded, flags, gpus, urls = {}, {}, {}, {}
    for name, task in tasks_of(files).items():
        server = task["envs"]["ADAPTWIN_SERVER"]
        model, *words = words_of(task)
        flags[server] = flags_of(words)
        loaded[server] = set(modules_in(words))
        if model.startswith(MERGED):
            loaded[server].add(flags[server]["served-model-name"])
        gpus[server] = int(task["resources"]["accelerators"].rpartition(":")[2])
        urls[f"http://{name}:{task['resources']['ports']}/v1"] = server
    (config,) = documents(files["litellm.yaml"])
    return ReadBack(loaded, litellm_routes(config, urls.__getitem__), flags, gpus)
