"""The HTML page of the plans of a fleet: for several base models, their totals, and then each plan."""

from collections.abc import Sequence
from pathlib import Path

from adaptwin.briefing.briefing import Briefing
from adaptwin.plan.front import Front
from adaptwin.plan.plans import Plans
from adaptwin.report.plan.cards import HOURS_PER_MONTH
from adaptwin.report.plan.page import UNNAMED, PageOrigin, commands_of, page_part, plan_report
from adaptwin.report.plan.totals import base_rows, total_sentences
from adaptwin.report.style.page import Card, render
from adaptwin.report.style.words import count, money, number, round_money
from adaptwin.writing import write_atomically


def plans_report(
    plans: Plans,
    front: Front | None = None,
    briefing: Sequence[Briefing | None] | None = None,
    origin: PageOrigin = UNNAMED,
) -> str:
    """Return the plans as one self-contained HTML page; the page of a single plan is that of the plan alone.

    Args:
        plans: The plans.
        front: Plans on more GPUs, whose first plan is the single one.
        briefing: What was found out about each plan for the page, in their order.
        origin: The file of the plans, and the day.
    """
    known = list(briefing or [None] * len(plans.plans))
    if not plans.are_several:
        return plan_report(plans.plans[0], front, known[0], origin)
    commands = commands_of(list(plans.plans))
    parts = [
        page_part(plan, found, commands, origin, f"base-{index}-")
        for index, (plan, found) in enumerate(zip(plans.plans, known, strict=True))
    ]
    models, adapters = count(len(plans.plans), "base model"), count(len(plans.workload), "adapter")
    return render(
        "plans.html",
        {key: figure for part in parts for key, figure in part.drawn.items()},
        origin=origin,
        title=f"{count(plans.gpus, 'GPU')} for {adapters} of {models}",
        summary=total_sentences(plans),
        cards=_total_cards(plans),
        front=None,
        rows=base_rows(plans),
        parts=parts,
    )


def write_plans_report(
    plans: Plans,
    path: str | Path,
    front: Front | None = None,
    briefing: Sequence[Briefing | None] | None = None,
    origin: PageOrigin = UNNAMED,
) -> None:
    """Write the HTML page of the plans of a fleet to `path`; raises `SpecError` if the file cannot be written."""
    write_atomically(path, plans_report(plans, front, briefing, origin))


def _total_cards(plans: Plans) -> list[Card]:
    workload, above = plans.workload, plans.gpus - plans.lower_bound
    note = f"this plan: {count(above, 'GPU')} more" if above > 0 else "this plan is optimal"
    cards = [Card("GPUs", f"{plans.gpus:,}"), Card("Lower bound", f"{plans.lower_bound:,}", note)]
    if plans.cost_per_hour is not None:
        month = f"{round_money(HOURS_PER_MONTH * plans.cost_per_hour, plans.currency)} per month of 730 h"
        cards.append(Card("Price per hour", money(plans.cost_per_hour, plans.currency), month))
    cards += [
        Card("Base models", f"{len(plans.plans):,}"),
        Card("Adapters", f"{len(workload):,}"),
        Card("Requests/s", number(workload.rate), "offered"),
    ]
    verified = Card("Verified", "yes", "simulated with fresh arrivals", "good")
    return [*cards, verified if plans.verified else Card("Verified", "no", "not for every base model", "bad")]
