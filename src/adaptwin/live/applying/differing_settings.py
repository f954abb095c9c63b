"""Settings of running servers that differ from the plan's, as far as a server says them; a restart changes them."""

from collections.abc import Mapping, Sequence

from adaptwin.live.applying.running_fleet import ServerState
from adaptwin.live.deployment import as_seen
from adaptwin.live.watched_server import Reading, WatchedServer
from adaptwin.plan.plan import PlacedServer, Plan

UNSAID_SETTINGS = ("max_lora_rank", "max_cpu_loras", "max_num_seqs", "max_num_batched_tokens")  # no server says them
_OF_CACHE = "the KV cache has"


def differing_settings(
    plans: Sequence[Plan], states: Mapping[str, ServerState]
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Return what differs and needs a restart, in words by server, and what differs and no restart changes.

    The size of the KV cache is measured by vLLM itself when it starts.
    """
    found = {
        server.name: _differences(plan, server, states[server.name])
        for plan in plans
        for server in plan.serving
        if server.name in states
    }
    of_cache = tuple(
        f"{name}: {line}; the twin's figures are not those of this server."
        for name, lines in found.items()
        for line in lines
        if line.startswith(_OF_CACHE)
    )
    settings = {name: tuple(line for line in lines if not line.startswith(_OF_CACHE)) for name, lines in found.items()}
    return {name: lines for name, lines in settings.items() if lines}, of_cache


def unsaid_settings(states: Mapping[str, ServerState]) -> tuple[str, ...]:
    """Return the settings that the servers do not say; they say ``max_loras`` after their first request."""
    is_said = all(state.metrics is not None and state.metrics.max_loras is not None for state in states.values())
    return UNSAID_SETTINGS if is_said else ("max_loras", *UNSAID_SETTINGS)


def _differences(plan: Plan, placed: PlacedServer, state: ServerState) -> tuple[str, ...]:
    profile, lines = plan.profile_of(placed), []
    planned, length = placed.server.with_defaults(profile).max_model_len, state.models.base.max_model_len
    if length is not None and planned is not None and length < planned:
        lines.append(f"max_model_len is {length:,}, and {planned:,} was expected")
    if state.metrics:
        reading = Reading(0.0, state.metrics)
        seen = WatchedServer(name=placed.name, url="", readings=(reading,), adapter_paths=state.loaded)
        lines += [line for line in as_seen(placed, profile, seen)[1] if "have requests here" not in line]
    return tuple(lines)
