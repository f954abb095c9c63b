"""The page of a plan: one HTML file with everything in it, which loads nothing from the network."""

import importlib.metadata
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import plotly.graph_objects as go

from adaptwin.errors import Infeasible
from adaptwin.plan.forecast import MOST_HEADROOM, Forecast
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.report.plan import charts as figures
from adaptwin.report.plan.table import (
    bound_sentences,
    failover_sentence,
    made_how,
    rank_counts,
    rank_summary,
    rejected_sentence,
    uncertainty_sentence,
    used_gpus,
    verified_sentence,
)
from adaptwin.report.plan.why import what_binds, why_full
from adaptwin.report.style.page import Card, Picture, render
from adaptwin.report.style.words import NOTHING, count, duration, headroom_share, money, number, percent
from adaptwin.spec import write_atomically

OPEN_SECTIONS = 8  # with more GPUs than this, their sections start closed

_WHY: dict[str, str] = {
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


class Setting(NamedTuple):
    """One of vLLM's knobs as this server runs with it."""

    name: str
    value: str
    default: bool


class GpuSection(NamedTuple):
    """What the page says about one GPU."""

    placed: PlacedServer
    ranks: str
    binds: str
    story: str
    settings: list[Setting]
    adapters: list[figures.Placement]
    tokens: float  # offered by its adapters per second
    choices: Picture | None


_PICTURES: tuple[tuple[Picture, Callable[[Plan], go.Figure]], ...] = (
    (
        Picture(
            "packing",
            "Which adapters are on which GPU",
            "A bar per GPU, a segment per adapter, sized by the tokens per second its traffic asks for and "
            "coloured by rank. The outlined end is headroom: traffic the GPU could take on top.",
        ),
        figures.packing_figure,
    ),
    (
        Picture("throughput", "Throughput", "Prompt and output tokens per second, offered and served."),
        figures.throughput_figure,
    ),
    (
        Picture("kv", "KV cache", "Share of each GPU's KV cache in use, averaged over time."),
        figures.kv_figure,
    ),
    (
        Picture("ttft", "Time to first token", "Median and 99th percentile over the requests of each GPU."),
        figures.ttft_figure,
    ),
    (
        Picture("itl", "Inter-token latency", "Mean and 99th percentile of the gaps between output tokens."),
        figures.itl_figure,
    ),
    (
        Picture(
            "popularity",
            "How unequal the adapters are",
            "Requests per second of the adapters, from the most to the least popular, coloured by rank.",
        ),
        figures.popularity_figure,
    ),
)


def plan_report(plan: Plan) -> str:
    """The plan as one self-contained HTML page: figures, table and settings per GPU, and how it was made."""
    sections = list(_sections(plan))
    drawn = {picture.key: draw(plan) for picture, draw in _PICTURES}
    drawn |= {section.choices.key: figures.choices_figure(section.placed) for section in sections if section.choices}
    return render(
        "plan.html",
        drawn,
        plan=plan,
        cards=_cards(plan),
        sections=sections,
        pictures={picture.key: picture for picture, _ in _PICTURES},
        open_sections=len(sections) <= OPEN_SECTIONS,
        facts=_facts(plan),
        summary=_summary(plan),
        uncertainty=uncertainty_sentence(plan),
    )


def _summary(plan: Plan) -> tuple[str, ...]:
    said = (*bound_sentences(plan), verified_sentence(plan), failover_sentence(plan), rejected_sentence(plan))
    return tuple(filter(None, said))


def write_plan_report(plan: Plan, path: str | Path) -> None:
    """Write the page to `path`; raises `SpecError` when the place cannot be written."""
    write_atomically(path, plan_report(plan))


def _cards(plan: Plan) -> list[Card]:
    forecasts = [(server.name, server.forecast) for server in plan.servers if server.forecast]
    tokens = sum(row.tokens for row in figures.placements(plan))
    above = plan.gpus - plan.lower_bound
    cards = [
        Card("GPUs", f"{plan.gpus:,}", used_gpus(plan) if len(plan.profiles) > 1 else ""),
        Card(
            "Lower bound",
            f"{plan.lower_bound:,}",
            f"at most {count(above, 'GPU')} above" if above > 0 else "optimal",
        ),
        *_price_cards(plan),
        Card("Adapters", f"{len(plan.workload):,}"),
        Card("Requests/s", number(plan.workload.rate), "offered"),
        Card("Tokens/s", number(tokens), "offered, prompt and output"),
    ]
    headrooms = [(forecast.headroom, name) for name, forecast in forecasts]
    tails = [(forecast.ttft_p99, name) for name, forecast in forecasts if math.isfinite(forecast.ttft_p99)]
    if headrooms:
        least, name = min(headrooms)
        cards.append(Card("Lowest headroom", headroom_share(least), name))
    if tails:
        worst, name = max(tails)
        cards.append(Card("Worst TTFT p99", duration(worst), name))
    verified = Card("Verified", "yes", "a fresh twin run per GPU", "good")
    cards.append(verified if plan.verified else Card("Verified", "no", "no fresh twin runs", "bad"))
    return cards


def _price_cards(plan: Plan) -> list[Card]:
    if plan.cost_per_hour is None:
        return []
    bound = "" if plan.cost_bound is None else f"at least {money(plan.cost_bound)} for any plan"
    return [Card("Price per hour", money(plan.cost_per_hour), bound)]


def _sections(plan: Plan) -> Iterator[GpuSection]:
    rows = figures.placements(plan)
    for index, (server, counts) in enumerate(zip(plan.servers, rank_counts(plan), strict=True)):
        adapters, rows = rows[: len(server.adapters)], rows[len(server.adapters) :]
        yield GpuSection(
            placed=server,
            ranks=rank_summary(counts),
            binds=_binds(plan, server, server.forecast) if server.forecast else "",
            story=_story(plan, server),
            settings=_settings(plan, server),
            adapters=adapters,
            tokens=sum(row.tokens for row in adapters),
            choices=_choices(index, server),
        )


def _story(plan: Plan, server: PlacedServer) -> str:
    """In words: what gives way first, the numbers that show it, and what the headroom means."""
    forecast = server.forecast
    if server.is_standby:
        return "A standby: it runs only when another server fails, with the settings and the adapters of that one."
    if forecast is None:
        return "The plan holds no forecast for this GPU."
    if forecast.headroom >= MOST_HEADROOM:
        return _headroom(forecast.headroom)
    shown = f"{_why(plan, server, forecast)} " if forecast.brink else ""
    return f"{_WHY[_binds(plan, server, forecast)]} {shown}{_headroom(forecast.headroom)}"


def _why(plan: Plan, server: PlacedServer, forecast: Forecast) -> str:
    ranks = {adapter.name: adapter.rank for adapter in plan.workload.adapters}
    return why_full(
        forecast,
        loras=sum(ranks[name] > 0 for name in server.adapters),
        max_loras=server.server.max_loras,
        max_num_seqs=_max_num_seqs(plan, server),
    )


def _binds(plan: Plan, server: PlacedServer, forecast: Forecast) -> str:
    return what_binds(forecast, _max_num_seqs(plan, server))


def _max_num_seqs(plan: Plan, server: PlacedServer) -> int:
    return server.server.budgets(plan.profile_of(server))[1]


def _headroom(headroom: float) -> str:
    if not math.isfinite(headroom):
        return "How much more traffic it could take is not known."
    if headroom >= MOST_HEADROOM:
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


def _settings(plan: Plan, placed: PlacedServer) -> list[Setting]:
    """The server's knobs; what is left to vLLM's default is worked out for the profile."""
    server, defaults = placed.server, _defaults(plan, placed)
    rows = []
    for name in type(server).model_fields:
        value = getattr(server, name)
        left_open = value is None
        shown = defaults.get(name) if left_open else value
        rows.append(Setting(name, NOTHING if shown is None else _plain(shown), left_open))
    return rows


def _defaults(plan: Plan, placed: PlacedServer) -> dict[str, int]:
    """What vLLM takes for the knobs that are None."""
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


def _plain(value: float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:,}"


def _choices(index: int, server: PlacedServer) -> Picture | None:
    if not server.choices:
        return None
    description = (
        "Throughput and mean inter-token latency for the values of max_loras that were tried. Too few slots "
        "make requests wait for one; too many take memory from the KV cache and slow every step down."
    )
    return Picture(f"choices-{index}", f"Why max_loras is {server.server.max_loras}", description)


def _facts(plan: Plan) -> dict[str, str]:
    """How the plan was made, and for which traffic."""
    workload = plan.workload
    arrivals = workload.arrivals if isinstance(workload.arrivals, str) else "replayed timestamps"
    prompt, output = number(workload.lengths.mean_input), number(workload.lengths.mean_output)
    return {
        "Planning": made_how(plan),
        "Search": "ended early by the time limit" if plan.time_limit_hit else "ran to its end",
        "Traffic": f"{arrivals} arrivals over {duration(workload.duration)}, workload seed {workload.seed}",
        "Mean lengths": f"{prompt} prompt and {output} output tokens, if not an adapter's own",
        "adaptwin": importlib.metadata.version("adaptwin"),
    }
