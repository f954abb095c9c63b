"""Export to vLLM: the ``vllm serve`` command of every server of a plan, as a shell script."""

from collections.abc import Iterator

from adaptwin.export.comments import comment
from adaptwin.export.one_machine import PortAndGpus, ports_and_gpus
from adaptwin.export.options import ExportOptions
from adaptwin.export.serving_plan import ServedServer, ServingPlan
from adaptwin.export.shell import command_words, folders, lora_module, merged_model, option_of_name, word
from adaptwin.export.stack import Stack, Written

SERVE_SCRIPT = "serve.sh"


def vllm_script(serving: ServingPlan, options: ExportOptions) -> Written:
    """Return a shell script with one command per server, and comments that say when to start a standby.

    GPUs are numbered over all servers in their order, so that each server has GPUs of its own. The weights of an
    adapter without an artifact are expected in ``$ADAPTERS/<name>``, and a model with the weights of an adapter merged
    into its own in ``$MERGED/<name>``.
    """
    gpus = sum(server.gpus for server in serving.all_servers)
    groups = any(server.gpus > 1 for server in serving.all_servers)
    each = f"all {gpus} GPUs" if groups else "a GPU each"
    here = f"The commands are for one machine, with {each}. On several machines, run each one on its own machine."
    servers: list[str] = []
    for server, place in zip(serving.all_servers, ports_and_gpus(serving, options.port), strict=True):
        if server.is_standby:
            servers += ["", *_standing_by(server, place)]
        else:
            servers += ["", *map(comment, server.said), f"{_command(server, place)} &"]
    first_line, *assumed = serving.said
    said = list(_said_of_script(serving, options))
    head = map(comment, (first_line, here, *assumed, *said))
    lines = ["#!/bin/sh", *head, *folders("\n".join(servers)), *servers, "", "wait"]
    return Written({SERVE_SCRIPT: "\n".join(lines) + "\n"}, said)


def server_commands(serving: ServingPlan, first_port: int) -> dict[str, str]:
    """Return the command of each server that runs, by name, after the shell variables of the folders that it names."""
    places = zip(serving.all_servers, ports_and_gpus(serving, first_port), strict=True)
    commands = {server.name: _command(server, place) for server, place in places if not server.is_standby}
    return {name: "\n".join([*filter(None, folders(command)), command]) for name, command in commands.items()}


def _said_of_script(serving: ServingPlan, options: ExportOptions) -> Iterator[str]:
    artifacts = [lora.artifact for server in serving.servers for lora in server.loras if lora.artifact]
    if elsewhere := [each.url for each in artifacts if each.scheme not in ("path", "hf")]:
        yield f"vLLM cannot load {elsewhere[0]}: copy such artifacts to a folder, and name it in the plan."
    if options.api_key:
        yield "Set VLLM_API_KEY in the environment of the script: it is the key that the servers ask for."
    if serving.split:
        yield "The script routes nothing: export the plan to a router as well, such as litellm, for the split adapters."


def _standing_by(server: ServedServer, place: PortAndGpus) -> list[str]:
    name = server.profile.name
    return [
        comment(f"{server.name}: a standby, profile {name}. When another server fails, run its command here,"),
        comment(f"with CUDA_VISIBLE_DEVICES={place.devices} and --port {place.port}."),
    ]


def _command(server: ServedServer, place: PortAndGpus) -> str:
    devices = f"CUDA_VISIBLE_DEVICES={place.devices}"
    options = [f"--port {place.port}", *map(command_words, (*server.flags, *server.lora_flags))]
    if server.merged:
        start = f"{devices} vllm serve {merged_model(server.merged)}"
        return " \\\n  ".join([start, *options, option_of_name("--served-model-name", server.merged)])
    if server.loras:
        modules = (lora_module(lora.name, lora.artifact and lora.artifact.for_vllm) for lora in server.loras)
        options.append(f"--lora-modules {' '.join(modules)}")
    start = f"{devices} VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve {word(server.base_model)}"
    return " \\\n  ".join([start, *options])


VLLM = Stack(
    title="vLLM itself: a shell script",
    version="flags of vLLM 0.8.5 to 0.32.0",
    pins="`--lora-modules` of each server",
    weights="none: the script starts servers and routes nothing",
    merged="a server of the merged model, under the adapter's name",
    names="as they are; as JSON where they hold `=`, `,` or a leading `-`",
    write=vllm_script,
)
