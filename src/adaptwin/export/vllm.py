"""Export to vLLM: the ``vllm serve`` command of every server of a plan, as a shell script."""

import json
import shlex

from adaptwin.export.vllm_flags import lora_flags, setting_flags, settings_without_flag
from adaptwin.plan.assumptions import assumptions_of
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.workload.workload import Adapter

FIRST_PORT = 8000


def vllm_script(plan: Plan) -> str:
    """Return a shell script with one command per server, and comments that say when to start a standby.

    The weights of an adapter without an artifact are expected in ``$ADAPTERS/<name>``.
    """
    adapters = {adapter.name: adapter for adapter in plan.workload.adapters}
    servers = f"{plan.gpus} vLLM server{'' if plan.gpus == 1 else 's'}"
    lines = [
        "#!/bin/sh",
        f"# {servers}, planned by adaptwin ({plan.options.strategy}, seed {plan.seed}).",
        "# The commands are for one machine, with a GPU each. On several machines, run each one on its own machine.",
        *(f"# The plan assumes: {_in_comment(clause)}." for clause in assumptions_of(plan)),
        "# Prefix caching stays at vLLM's default.",
    ]
    if plan.failover and not plan.standbys:
        lines.append("# When a server fails, load its adapters on other servers as `failover` in the plan file says.")
    if any(adapters[name].artifact is None for server in plan.servers for name in _loras(server, adapters)):
        lines.append('ADAPTERS="${ADAPTERS:-adapters}"  # folder of the adapters without an artifact')
    for number, server in enumerate(plan.servers):
        if server.is_standby:
            lines += ["", *_standing_by(server, number)]
            continue
        lines += ["", *_described(plan, server, adapters), f"{_command(plan, server, adapters, number)} &"]
    return "\n".join([*lines, "", "wait"]) + "\n"


def _standing_by(server: PlacedServer, number: int) -> list[str]:
    return [
        f"# {server.name}: a standby, profile {server.profile}. When another server fails, run its command here,",
        f"# with CUDA_VISIBLE_DEVICES={number} and --port {FIRST_PORT + number}.",
    ]


def _described(plan: Plan, server: PlacedServer, adapters: dict[str, Adapter]) -> list[str]:
    lines = [f"# {server.name}: {len(server.adapters)} adapters, profile {server.profile}"]
    parts = [f"{_in_comment(name)} ({share:.0%})" for name, share in server.adapters.items() if share < 1.0]
    if parts:
        lines.append(f"# serves only a part of the traffic of: {', '.join(parts)}")
    base = [name for name in server.adapters if adapters[name].rank == 0]
    if base:
        lines.append(f"# also serves traffic to the base model: {', '.join(map(_in_comment, base))}")
    profile = plan.profile_of(server)
    if missing := list(settings_without_flag(profile, server.server)):
        version = _in_comment(profile.vllm_version)
        lines.append(f"# simulated with {', '.join(missing)}, for which vLLM {version} has no flag")
    return lines


def _in_comment(name: str) -> str:
    """Return the name, escaped if it would break the line of a comment."""
    return name if name.isprintable() else repr(name)


def _command(plan: Plan, server: PlacedServer, adapters: dict[str, Adapter], number: int) -> str:
    profile = plan.profile_of(server)
    options = [f"--port {FIRST_PORT + number}", *setting_flags(profile, server.server)]
    loras = _loras(server, adapters)
    if loras or _takes_loras_in(plan, server, adapters):
        options += lora_flags(server.server)
    if loras:
        options.append("--lora-modules " + " ".join(_module(adapters[name]) for name in loras))
    model = shlex.quote(profile.model.name)
    start = f"CUDA_VISIBLE_DEVICES={number} VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve {model}"
    return " \\\n  ".join([start, *options])


def _loras(server: PlacedServer, adapters: dict[str, Adapter]) -> list[str]:
    return [name for name in server.adapters if adapters[name].rank > 0]


def _takes_loras_in(plan: Plan, server: PlacedServer, adapters: dict[str, Adapter]) -> bool:
    """Whether the server takes over LoRA adapters when other servers fail."""
    return any(
        server.name in route and adapters[name].rank > 0
        for failover in plan.failover
        for name, route in failover.routes.items()
    )


def _module(adapter: Adapter) -> str:
    """Return ``name=path``, or JSON where the name or the path has a sign at which vLLM would split it."""
    name = shlex.quote(adapter.name)
    if not adapter.artifact:
        return f'{name}="$ADAPTERS"/{name}'
    if any(sign in adapter.name + adapter.artifact for sign in "=,"):
        return shlex.quote(json.dumps({"name": adapter.name, "path": adapter.artifact}))
    return shlex.quote(f"{adapter.name}={adapter.artifact}")
