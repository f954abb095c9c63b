"""The text of a GPU's section of the page: what limits it, and what its headroom means."""

import math

from adaptwin.plan.forecast import HEADROOM_SEEDS, Forecast
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.report.plan.headroom import headroom_text
from adaptwin.report.plan.server_noun import server_noun
from adaptwin.report.plan.why import why_full
from adaptwin.report.style.words import percent

_LIMIT_SENTENCES: dict[str, str] = {
    "memory": "GPU memory is the limit. More traffic needs more KV cache than the weights and the adapter slots "
    "leave, so requests wait for blocks, or are preempted and computed again.",
    "compute": "Compute is the limit. More traffic makes every step longer, until the GPU can no longer generate "
    "tokens as fast as they are requested, and requests queue.",
    "max_num_seqs": "The batch size is the limit. As many requests run as max_num_seqs allows, and others wait "
    "although the GPU could compute more at once.",
    "slots": "The adapter slots are the limit. More traffic needs more different adapters at once than max_loras "
    "allows in one batch, so requests wait for a slot although the GPU could compute more.",
    "loads": "Loading adapters is the limit. Steps wait while adapters are loaded to the GPU. More slots may help, or "
    "more adapters in host memory (max_cpu_loras).",
    "nothing": "No limit was found.",
    "slo": "A latency target is the limit. The server could process more traffic, but would then miss a target for "
    "TTFT or ITL.",
}


def story(plan: Plan, server: PlacedServer) -> str:
    """Say what limits the server, with the numbers that show it, and what its headroom means."""
    forecast = server.forecast
    if server.is_standby:
        return "A standby: it runs only when another server fails, with the settings and the adapters of that server."
    if forecast is None:
        return f"The plan has no forecast for this {server_noun(plan)}."
    if forecast.headroom_is_open:
        return " ".join(filter(None, (_nothing_else_sentence(server), _headroom_sentence(forecast))))
    is_given = forecast.binding == "max_num_seqs" and plan.settings.max_num_seqs is not None
    parts = [
        _LIMIT_SENTENCES[forecast.binding],
        "A larger max_num_seqs may help." if is_given else "",
        _limit_in_numbers(plan, server, forecast) if forecast.brink else "",
        _headroom_sentence(forecast),
    ]
    return " ".join(filter(None, [_nothing_else_sentence(server), *parts]))


def _nothing_else_sentence(server: PlacedServer) -> str:
    """Say what a server with merged weights cannot do; empty for other servers."""
    if not server.merged:
        return ""
    (name,) = server.adapters
    return f"It serves {name} only, with its weights merged into those of the model: it can load no adapter."


def _limit_in_numbers(plan: Plan, server: PlacedServer, forecast: Forecast) -> str:
    ranks = {adapter.name: adapter.rank for adapter in plan.workload.adapters}
    return why_full(
        forecast,
        loras=sum(ranks[name] > 0 for name in server.adapters),
        max_loras=server.server.max_loras,
        max_num_seqs=server.server.budgets(plan.profile_of(server))[1],
    )


def _headroom_sentence(forecast: Forecast) -> str:
    headroom = forecast.headroom
    if not math.isfinite(headroom):
        return "Its headroom is not known."
    if forecast.headroom_is_open:
        return (
            f"Its headroom is {headroom_text(forecast)}: it could serve four times its traffic. "
            "More than that was not tried."
        )
    if headroom <= 0:
        return f"It has no headroom: with more traffic, the verdict is not ok with each of {HEADROOM_SEEDS} seeds."
    return (
        f"Its headroom is {percent(headroom)}: the traffic of all its adapters could grow by that much before one "
        f"of them is starved, backlogged or slower than its latency target with one of {HEADROOM_SEEDS} seeds."
    )
