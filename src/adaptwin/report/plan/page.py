"""The HTML page of a plan: one self-contained file, which loads nothing from the network."""

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import plotly.graph_objects as go
from markupsafe import Markup

from adaptwin.briefing.briefing import Briefing
from adaptwin.errors import SpecError
from adaptwin.export.options import ExportOptions
from adaptwin.export.serving_plan import serving_plan_of
from adaptwin.export.vllm import server_commands
from adaptwin.plan.forecast import HEADROOM_SEEDS
from adaptwin.plan.front import Front
from adaptwin.plan.plan import Plan
from adaptwin.report.plan.adapter_rows import adapter_columns, adapter_row, served_adapters
from adaptwin.report.plan.assumption_strip import Assumed, assumption_strip
from adaptwin.report.plan.cards import plan_cards
from adaptwin.report.plan.chosen_settings import chosen_sentences
from adaptwin.report.plan.front import FrontRow, front_rows
from adaptwin.report.plan.front_chart import front_figure
from adaptwin.report.plan.gpu_sections import gpu_sections, section_figures
from adaptwin.report.plan.migration import changes_sentence, step_lines
from adaptwin.report.plan.more_traffic import traffic_rows
from adaptwin.report.plan.next_steps import NextStep, next_steps
from adaptwin.report.plan.packing_chart import packing_figure
from adaptwin.report.plan.pictures import plan_pictures
from adaptwin.report.plan.sentences import (
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
    verified_sentence,
)
from adaptwin.report.plan.server_noun import server_noun
from adaptwin.report.plan.stress import interval, of_trials, stress_notes
from adaptwin.report.profile_error import error_in_words
from adaptwin.report.style.assumptions import assumed_sentence
from adaptwin.report.style.page import Card, Picture, fragment, render
from adaptwin.report.style.words import count, duration, number
from adaptwin.writing import write_atomically

FAILING_SHOWN = 3  # of the servers that failed, in each row of the table of stress
OPEN_SECTIONS = 8  # with more GPUs than this, the section of each GPU starts closed


class StressRow(NamedTuple):
    """A row of the table of stress, as text."""

    traffic: str
    fleet: str
    fleet_interval: str
    servers: str
    servers_interval: str
    failing: str


class PageOrigin(NamedTuple):
    """Where a page is from: what is printed on every sheet, and named in its commands."""

    file: str = "plan.yaml"  # name of the file of the plan
    made: str = ""  # day on which the page was made


UNNAMED = PageOrigin()


class PagePart(NamedTuple):
    """What a page shows of one plan."""

    base: str
    cards: list[Card]
    strip: list[Assumed]
    steps: list[NextStep]
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


def plan_report(
    plan: Plan, front: Front | None = None, briefing: Briefing | None = None, origin: PageOrigin = UNNAMED
) -> str:
    """Return the plan as one self-contained HTML page.

    Args:
        plan: The plan.
        front: Plans on more GPUs, whose first plan it is: the page then says what more GPUs would gain.
        briefing: What `make_briefing` found: adapters one by one, a naive plan, and more traffic.
        origin: The file of the plan, and the day.
    """
    part = page_part(plan, briefing, commands_of([plan]), origin)
    more = {FRONT_PICTURE.key: front_figure(front)} if front else {}
    servers = f" in {count(len(plan.servers), 'server')}" if plan.has_groups else ""
    return render(
        "plans.html",
        {**part.drawn, **more},
        origin=origin,
        title=f"{count(plan.gpus, 'GPU')}{servers} for {count(len(plan.workload), 'adapter')}",
        cards=part.cards,
        summary=(),
        front=front and FrontPart(FRONT_PICTURE, front_rows(front)),
        rows=(),
        parts=(part,),
    )


def commands_of(plans: list[Plan]) -> dict[str, str]:
    """Return the command that starts each server of plans, by name; none where vLLM cannot tell its adapters apart."""
    try:
        serving = serving_plan_of(plans)
    except SpecError:
        return {}
    return server_commands(serving, ExportOptions().port)


def page_part(
    plan: Plan, briefing: Briefing | None, commands: Mapping[str, str], origin: PageOrigin, prefix: str = ""
) -> PagePart:
    """Return what the page shows of a plan.

    Args:
        plan: The plan.
        briefing: What was found out about it for the page.
        commands: The command that starts each server, by name.
        origin: The file of the plan, and the day.
        prefix: Beginning of the names of its figures and sections, which tells them from those of other plans.
    """
    sections, noun = list(gpu_sections(plan, briefing, commands, prefix)), server_noun(plan)
    served = served_adapters(plan, briefing)
    verdicts = {(each.placement.server, each.placement.name): each.verdict for each in served}
    figures = plan_pictures(noun)
    pictures = {picture.key: picture._replace(key=f"{prefix}{picture.key}") for picture, _ in figures}
    drawn = {pictures[picture.key].key: draw(plan) for picture, draw in figures}
    drawn[pictures["packing"].key] = packing_figure(plan, verdicts)
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
        briefing=briefing,
        traffic=traffic_rows(plan, briefing) if briefing and briefing.more_traffic else [],
        savings=briefing.savings if briefing else (),
        adapters=[adapter_row(each) for each in served],
        adapter_columns=adapter_columns(served),
        overloaded=[adapter_row(each) for each in served if each.is_overloaded],
        sluggish=sum(each.verdict == "sluggish" for each in served),
        unknown=sum(not each.verdict for each in served),
    )
    return PagePart(
        base=plan.base,
        cards=plan_cards(plan, briefing),
        strip=assumption_strip(plan),
        steps=next_steps(plan, briefing, origin.file),
        summary=_summary_sentences(plan),
        drawn=drawn | section_figures(sections, briefing),
        body=body,
    )


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


def write_plan_report(plan: Plan, path: str | Path, briefing: Briefing | None = None) -> None:
    """Write the HTML page of a plan to `path`; raises `SpecError` if the file cannot be written."""
    write_atomically(path, plan_report(plan, briefing=briefing))


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
