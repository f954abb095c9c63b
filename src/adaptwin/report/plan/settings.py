"""The settings of a server, for its section of the page."""

from typing import NamedTuple

from adaptwin.errors import Infeasible
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.report.style.words import NOTHING


class SettingRow(NamedTuple):
    """A setting of vLLM, its value on this server, and where the value is from; empty if it was given."""

    name: str
    value: str
    origin: str


def server_settings(plan: Plan, placed: PlacedServer) -> list[SettingRow]:
    """Return the settings of a server; those left open have the default that vLLM uses on its profile.

    Where the server has several GPUs, their number comes first.
    """
    server, defaults = placed.server, _defaults(plan, placed)
    gpus = plan.gpus_of(placed)
    chosen = {decision.setting for decision in placed.decisions}
    rows = [SettingRow("tensor_parallel_size", str(gpus), "")] if gpus > 1 else []
    for name in type(server).model_fields:
        value = getattr(server, name)
        shown = defaults.get(name) if value is None else value
        origin = "by default" if value is None else "chosen" if name in chosen else ""
        rows.append(SettingRow(name, NOTHING if shown is None else _setting_text(shown), origin))
    return rows


def _defaults(plan: Plan, placed: PlacedServer) -> dict[str, int]:
    """Return the values that vLLM uses for settings that are None."""
    profile = plan.profile_of(placed)
    try:
        limits = placed.server.limits(profile)
    except Infeasible:
        return {}
    return {
        "max_cpu_loras": limits.max_cpu_loras,
        "max_num_seqs": limits.max_num_seqs,
        "max_num_batched_tokens": limits.token_budget,
        "max_model_len": limits.max_model_len,
        "kv_cache_tokens": (limits.kv_blocks + 1) * limits.block_size,
    }


def _setting_text(value: float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:,}"
