"""Export to vLLM: the ``vllm serve`` command of every server of a plan, as a shell script."""

from collections.abc import Sequence
from itertools import accumulate, chain, count
from typing import NamedTuple

from adaptwin.export.shell import comment, folders, lora_module, merged_model, option_of_name, word
from adaptwin.export.vllm_flags import lora_flags, setting_flags, settings_without_flag
from adaptwin.plan.assumptions import assumptions_of
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.profile.stored_widths import stored_widths
from adaptwin.workload.workload import Adapter

FIRST_PORT = 8000


class _PortAndGpus(NamedTuple):
    """The port of a server, and the numbers of its GPUs."""

    port: int
    gpus: range

    @property
    def devices(self) -> str:
        """The value of ``CUDA_VISIBLE_DEVICES``, such as ``2,3``."""
        return ",".join(map(str, self.gpus))


def vllm_script(*plans: Plan) -> str:
    """Return a shell script with one command per server, and comments that say when to start a standby.

    The servers of several plans, which have different base models, share the script. GPUs are numbered over all servers
    in their order, so that each server has GPUs of its own. The weights of an adapter without an artifact are expected
    in ``$ADAPTERS/<name>``, and a model with the weights of an adapter merged into its own in ``$MERGED/<name>``.
    """
    adapters = {adapter.name: adapter for plan in plans for adapter in plan.workload.adapters}
    servers: list[str] = []
    placed = [(plan, server) for plan in plans for server in plan.servers]
    first_gpus = accumulate((plan.gpus_of(server) for plan, server in placed), initial=0)
    for port, first, (plan, server) in zip(count(FIRST_PORT), first_gpus, placed, strict=False):
        place = _PortAndGpus(port, range(first, first + plan.gpus_of(server)))
        if server.is_standby:
            servers += ["", *_standing_by(server, place)]
        else:
            servers += ["", *_described(plan, server, adapters), f"{_command(plan, server, adapters, place)} &"]
    used = folders("\n".join(servers))
    return "\n".join(["#!/bin/sh", *_introduction(plans), *used, *servers, "", "wait"]) + "\n"


def _introduction(plans: Sequence[Plan]) -> list[str]:
    many, total, first = sum(len(plan.servers) for plan in plans), sum(plan.gpus for plan in plans), plans[0]
    groups = any(plan.has_groups for plan in plans)
    servers = f"{many} vLLM server{'' if many == 1 else 's'}{f' on {total} GPUs' if groups else ''}"
    models = f" of {len(plans)} base models" if len(plans) > 1 else ""
    gpus = f"all {total} GPUs" if groups else "a GPU each"
    said = [
        f"{servers}{models}, planned by adaptwin ({first.options.strategy}, seed {first.seed}).",
        f"The commands are for one machine, with {gpus}. On several machines, run each one on its own machine.",
        *(f"The plan assumes: {clause}." for clause in dict.fromkeys(chain(*map(assumptions_of, plans)))),
        "Prefix caching stays at vLLM's default.",
        *_how_to_merge(plans),
        *dict.fromkeys(chain(*map(_of_stored_weights, plans))),
    ]
    if any(plan.failover and not plan.standbys for plan in plans):
        said.append("When a server fails, load its adapters on other servers as `failover` in the plan file says.")
    return [comment(line) for line in said]


def _how_to_merge(plans: Sequence[Plan]) -> list[str]:
    """Say how models with merged weights are made; empty if no server has any."""
    if not any(server.merged for plan in plans for server in plan.servers):
        return []
    return [
        "Merged weights: make each model in $MERGED once, with PEFT: load the base model and the adapter, then call",
        "merge_and_unload(), and save the model and its tokenizer with save_pretrained().",
    ]


def _of_stored_weights(plan: Plan) -> list[str]:
    """Say of which models the files must hold quantised weights, as vLLM does not quantise them itself."""
    used = {server.profile for server in plan.servers}
    models = [profile.model for profile in plan.profiles if profile.name in used and profile.quantization is None]
    return [
        f"The files of {model.name} must be quantised: the plan counts on {stored_widths(model)}."
        for model in models
        if min(model.bytes_per_weight, model.bytes_per_expert_weight) < model.bytes_per_value
    ]


def _standing_by(server: PlacedServer, place: _PortAndGpus) -> list[str]:
    return [
        comment(
            f"{server.name}: a standby, profile {server.profile}. When another server fails, run its command here,"
        ),
        comment(f"with CUDA_VISIBLE_DEVICES={place.devices} and --port {place.port}."),
    ]


def _described(plan: Plan, server: PlacedServer, adapters: dict[str, Adapter]) -> list[str]:
    many = len(server.adapters)
    said = [f"{server.name}: {many} adapter{'' if many == 1 else 's'}, profile {server.profile}"]
    if server.merged:
        said.append(f"has the weights of {', '.join(server.adapters)} merged into those of the model: no requests for")
        said.append("the base model or other adapters may be routed here, and no adapter can be loaded")
    parts = [f"{name} ({share:.0%})" for name, share in server.adapters.items() if share < 1.0]
    if parts:
        said.append(f"serves only a part of the traffic of: {', '.join(parts)}")
    base = [name for name in server.adapters if adapters[name].rank == 0]
    if base:
        said.append(f"also serves traffic to the base model: {', '.join(base)}")
    profile = plan.profile_of(server)
    if missing := list(settings_without_flag(profile, server.server)):
        said.append(f"simulated with {', '.join(missing)}, for which vLLM {profile.vllm_version} has no flag")
    return [comment(line) for line in said]


def _command(plan: Plan, server: PlacedServer, adapters: dict[str, Adapter], place: _PortAndGpus) -> str:
    profile = plan.profile_of(server)
    options = [f"--port {place.port}", *setting_flags(profile, server.server)]
    devices = f"CUDA_VISIBLE_DEVICES={place.devices}"
    if server.merged:
        (name,) = server.adapters
        start = f"{devices} vllm serve {merged_model(name)}"
        return " \\\n  ".join([start, *options, option_of_name("--served-model-name", name)])
    loras = [adapters[name] for name in server.adapters if adapters[name].rank > 0]
    if loras or _takes_loras_in(plan, server, adapters):
        options += lora_flags(profile, server.server)
    if loras:
        options.append("--lora-modules " + " ".join(lora_module(lora.name, lora.artifact) for lora in loras))
    start = f"{devices} VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve {word(profile.model.name)}"
    return " \\\n  ".join([start, *options])


def _takes_loras_in(plan: Plan, server: PlacedServer, adapters: dict[str, Adapter]) -> bool:
    """Whether the server takes over LoRA adapters when other servers fail."""
    return any(
        server.name in route and adapters[name].rank > 0
        for failover in plan.failover
        for name, route in failover.routes.items()
    )
