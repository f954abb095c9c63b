"""The HTML page of a plan: one self-contained file, which loads nothing from the network."""

import importlib.metadata
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import plotly.graph_objects as go
from markupsafe import Markup

from adaptwin.plan.forecast import HEADROOM_SEEDS
from adaptwin.plan.front import Front
from adaptwin.plan.placements import Placement, placements
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.report.plan.chosen_settings import chosen_sentences
from adaptwin.report.plan.front import FrontRow, front_rows
from adaptwin.report.plan.front_chart import front_figure
from adaptwin.report.plan.headroom import headroom_text
from adaptwin.report.plan.migration import changes_sentence, step_lines
from adaptwin.report.plan.pictures import plan_pictures
from adaptwin.report.plan.ranks import rank_counts, rank_summary
from adaptwin.report.plan.sentences import (
    bound_note,
    bound_sentences,
    confidence_sentence,
    disk_reads_sentence,
    failover_sentence,
    headroom_sentence,
    host_memory_sentence,
    left_over_sentence,
    made_how,
    plan_extrapolated_sentence,
    rejected_sentence,
    sluggish_sentence,
    stress_sentence,
    uncertainty_sentence,
    used_gpus,
    verified_sentence,
)
from adaptwin.report.plan.server_noun import server_noun
from adaptwin.report.plan.settings import SettingRow, server_settings
from adaptwin.report.plan.slot_chart import choices_figure
from adaptwin.report.plan.story import story
from adaptwin.report.plan.stress import interval, of_trials, stress_notes
from adaptwin.report.profile_error import error_in_words
from adaptwin.report.style.assumptions import assumed_sentence
from adaptwin.report.style.page import Card, Picture, fragment, render
from adaptwin.report.style.words import count, duration, money, number
from adaptwin.writing import write_atomically

FAILING_SHOWN = 3  # of the servers that failed, in each row of the table of stress
OPEN_SECTIONS = 8  # with more GPUs than this, the section of each GPU starts closed


class GpuSection(NamedTuple):
    """The contents of the section of one GPU."""

    placed: PlacedServer
    ranks: str
    binds: str
    headroom: str
    story: str
    settings: list[SettingRow]
    adapters: list[Placement]
    tokens: float  # tokens/s offered to its adapters
    choices: Picture | None


class StressRow(NamedTuple):
    """A row of the table of stress, as text."""

    traffic: str
    fleet: str
    fleet_interval: str
    servers: str
    servers_interval: str
    failing: str


class PagePart(NamedTuple):
    """What a page shows of one plan below its headline and its cards."""

    base: str
    summary: tuple[str, ...]
    drawn: dict[str, go.Figure]
    body: Markup


class FrontPart(NamedTuple):
    """What a page shows of plans on more GPUs."""

    picture: Picture
    rows: list[FrontRow]


FRONT_PICTURE = Picture(
    "front",
    "Latency by number of GPUs",
    "99th percentiles of the time between tokens and of the time to the first token on the worst server, with the "
    "fewest GPUs and with more.",
)


def plan_report(plan: Plan, front: Front | None = None) -> str:
    """Return the plan as one self-contained HTML page: summary, table, figures, settings per GPU, and its making.

    If a front is given, whose first plan it is, the page begins with what more GPUs would gain.
    """
    part = page_part(plan)
    more = {FRONT_PICTURE.key: front_figure(front)} if front else {}
    servers = f" in {count(len(plan.servers), 'server')}" if plan.has_groups else ""
    return render(
        "plans.html",
        {**part.drawn, **more},
        title=f"{count(plan.gpus, 'GPU')}{servers} for {count(len(plan.workload), 'adapter')}",
        summary=part.summary,
        cards=_plan_cards(plan),
        front=front and FrontPart(FRONT_PICTURE, front_rows(front)),
        rows=(),
        parts=(part,),
    )


def page_part(plan: Plan, prefix: str = "") -> PagePart:
    """Return what the page shows of a plan: table, figures, settings per GPU, and its making.

    Args:
        plan: The plan.
        prefix: Beginning of the names of its figures and sections, which tells them from those of other plans.
    """
    sections, noun = list(_sections(plan, prefix)), server_noun(plan)
    figures = plan_pictures(noun)
    pictures = {picture.key: picture._replace(key=f"{prefix}{picture.key}") for picture, _ in figures}
    drawn = {pictures[picture.key].key: draw(plan) for picture, draw in figures}
    drawn |= {section.choices.key: choices_figure(section.placed) for section in sections if section.choices}
    body = fragment(
        "plan.html",
        plan=plan,
        prefix=prefix,
        noun=noun,
        several_sizes=len({plan.gpus_of(server) for server in plan.servers}) > 1,
        sections=sections,
        pictures=pictures,
        open_sections=len(sections) <= OPEN_SECTIONS,
        facts=_planning_facts(plan),
        chosen=chosen_sentences(plan),
        errors={profile.name: error_in_words(profile) for profile in plan.profiles},
        uncertainty=uncertainty_sentence(plan),
        extrapolated=plan_extrapolated_sentence(plan),
        assumed=assumed_sentence(plan.assumptions),
        headroom_seeds=HEADROOM_SEEDS,
        changes=changes_sentence(plan.migration, plan.gpus) if plan.migration else "",
        steps=step_lines(plan.migration.steps) if plan.migration else [],
        stress_rows=_stress_rows(plan),
        stress_notes=stress_notes(plan.stress) if plan.stress else (),
    )
    return PagePart(plan.base, _summary_sentences(plan), drawn, body)


def _stress_rows(plan: Plan) -> list[StressRow]:
    """Return the rows of the table of stress; empty where the plan has none."""
    return [
        StressRow(
            result.traffic,
            *(of_trials(result.fleet), interval(result.fleet)),
            *(of_trials(result.servers), interval(result.servers)),
            ", ".join(f"{name} ({many})" for name, many in _most_often(result.failed)),
        )
        for result in (plan.stress.results if plan.stress else ())
    ]


def _most_often(failed: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(failed.items(), key=lambda each: (-each[1], each[0]))[:FAILING_SHOWN]


def _summary_sentences(plan: Plan) -> tuple[str, ...]:
    said = (
        left_over_sentence(plan),
        *bound_sentences(plan),
        verified_sentence(plan),
        confidence_sentence(plan),
        failover_sentence(plan),
        rejected_sentence(plan),
        sluggish_sentence(plan),
        disk_reads_sentence(plan),
        host_memory_sentence(plan),
        headroom_sentence(plan),
        stress_sentence(plan),
        "The time limit ended the search early: a longer one might find a better plan." if plan.time_limit_hit else "",
    )
    return tuple(filter(None, said))


def write_plan_report(plan: Plan, path: str | Path) -> None:
    """Write the HTML page of a plan to `path`; raises `SpecError` if the file cannot be written."""
    write_atomically(path, plan_report(plan))


def _plan_cards(plan: Plan) -> list[Card]:
    forecasts = [(server.name, server.forecast) for server in plan.servers if server.forecast]
    tokens = sum(row.tokens for row in placements(plan))
    cards = [
        Card("GPUs", f"{plan.gpus:,}", used_gpus(plan) if len(plan.profiles) > 1 or plan.has_groups else ""),
        Card(
            "Lower bound",
            f"{plan.lower_bound:,}",
            bound_note(plan),
        ),
        *_price_cards(plan),
        Card("Adapters", f"{len(plan.workload):,}"),
        Card("Requests/s", number(plan.workload.rate), "offered"),
        Card("Tokens/s", number(tokens), "offered, prompt and output"),
    ]
    tails = [(forecast.ttft_p99, name) for name, forecast in forecasts if math.isfinite(forecast.ttft_p99)]
    if forecasts:
        name, fullest = min(forecasts, key=lambda named: (named[1].headroom, named[0]))
        cards.append(Card("Lowest headroom", headroom_text(fullest), name))
    if tails:
        worst, name = max(tails)
        cards.append(Card("Worst TTFT p99", duration(worst), name))
    verified = Card("Verified", "yes", "simulated with fresh arrivals", "good")
    cards.append(verified if plan.verified else Card("Verified", "no", "no simulation confirms it", "bad"))
    return cards


def _price_cards(plan: Plan) -> list[Card]:
    if plan.cost_per_hour is None:
        return []
    bound = "" if plan.cost_bound is None else f"any plan costs at least {money(plan.cost_bound)}"
    return [Card("Price per hour", money(plan.cost_per_hour), bound)]


def _sections(plan: Plan, prefix: str) -> Iterator[GpuSection]:
    rows = placements(plan)
    for index, (server, counts) in enumerate(zip(plan.servers, rank_counts(plan), strict=True)):
        adapters, rows = rows[: len(server.adapters)], rows[len(server.adapters) :]
        yield GpuSection(
            placed=server,
            ranks=rank_summary(counts),
            binds=server.forecast.binding if server.forecast else "",
            headroom=headroom_text(server.forecast) if server.forecast else "",
            story=story(plan, server),
            settings=server_settings(plan, server),
            adapters=adapters,
            tokens=sum(row.tokens for row in adapters),
            choices=_choices(f"{prefix}choices-{index}", server),
        )


def _choices(key: str, server: PlacedServer) -> Picture | None:
    if not server.choices:
        return None
    description = (
        "Throughput and mean inter-token latency for the values of max_loras that were tried. With too few slots, "
        "requests wait for one; too many take memory from the KV cache and slow down every step."
    )
    return Picture(key, f"Why max_loras is {server.server.max_loras}", description)


def _planning_facts(plan: Plan) -> dict[str, str]:
    """Return how the plan was made, and for which traffic, by label."""
    workload = plan.workload
    arrivals = workload.arrivals if isinstance(workload.arrivals, str) else "replayed timestamps"
    prompt, output = number(workload.lengths.mean_input), number(workload.lengths.mean_output)
    return {
        "Planning": made_how(plan),
        "Search": "stopped by the time limit" if plan.time_limit_hit else "completed",
        "Traffic": f"{arrivals} arrivals over {duration(workload.duration)}, workload seed {workload.seed}",
        "Mean lengths": f"{prompt} prompt and {output} output tokens, for adapters without their own lengths",
        "adaptwin": importlib.metadata.version("adaptwin"),
    }
