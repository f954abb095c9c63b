"""What limits a GPU and what its headroom means, for its section of the page."""

import math

from adaptwin.plan.forecast import Forecast
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.report.plan.why import what_binds, why_full
from adaptwin.report.style.words import headroom_share, percent

_LIMIT_SENTENCES: dict[str, str] = {
    "memory": "GPU memory gives way first. More traffic needs more KV cache than the server has left beside "
    "the weights and its adapter slots, so requests wait for blocks or are preempted and computed again.",
    "compute": "Compute gives way first. More traffic makes every step longer, until the GPU cannot produce "
    "tokens as fast as they are asked for and requests queue.",
    "max_num_seqs": "The batch gives way first. As many requests run as max_num_seqs allows, so others wait although "
    "the GPU could compute more at once: a larger max_num_seqs may help.",
    "slots": "Adapter slots give way first. More traffic asks for more different adapters at once than "
    "max_loras lets into one batch, so requests wait for a slot although the GPU could take them.",
    "slo": "A latency target gives way first. The server could process more traffic, but an adapter would "
    "miss the TTFT or ITL it was promised.",
}


def story(plan: Plan, server: PlacedServer) -> str:
    """What gives way first on the server, the numbers that show it, and what its headroom means."""
    forecast = server.forecast
    if server.is_standby:
        return "A standby: it runs only when another server fails, with the settings and the adapters of that one."
    if forecast is None:
        return "The plan holds no forecast for this GPU."
    if forecast.headroom_is_open:
        return _headroom_sentence(forecast)
    shown = f"{_limit_in_numbers(plan, server, forecast)} " if forecast.brink else ""
    return f"{_LIMIT_SENTENCES[limit_of(plan, server, forecast)]} {shown}{_headroom_sentence(forecast)}"


def _limit_in_numbers(plan: Plan, server: PlacedServer, forecast: Forecast) -> str:
    ranks = {adapter.name: adapter.rank for adapter in plan.workload.adapters}
    return why_full(
        forecast,
        loras=sum(ranks[name] > 0 for name in server.adapters),
        max_loras=server.server.max_loras,
        max_num_seqs=_max_num_seqs(plan, server),
    )


def limit_of(plan: Plan, server: PlacedServer, forecast: Forecast) -> str:
    """What gives way first on this server of the plan when its traffic grows."""
    return what_binds(forecast, _max_num_seqs(plan, server))


def _max_num_seqs(plan: Plan, server: PlacedServer) -> int:
    return server.server.budgets(plan.profile_of(server))[1]


def _headroom_sentence(forecast: Forecast) -> str:
    headroom = forecast.headroom
    if not math.isfinite(headroom):
        return "How much more traffic it could take is not known."
    if forecast.headroom_is_open:
        return (
            f"Its headroom is {headroom_share(headroom)}: four times its traffic would still be served. "
            "More than that was not tried."
        )
    if headroom <= 0:
        return "It has no headroom: with any more traffic the verdict turns."
    return (
        f"Its headroom is {percent(headroom)}: all its adapters' traffic could grow by that much before one "
        "of them starves, falls behind or misses its latency target."
    )
