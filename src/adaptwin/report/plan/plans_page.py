"""The HTML page of the plans of a fleet: for several base models, their totals, and then each plan."""

from pathlib import Path

from adaptwin.plan.front import Front
from adaptwin.plan.plans import Plans
from adaptwin.report.plan.page import page_part, plan_report
from adaptwin.report.plan.totals import base_rows, total_sentences
from adaptwin.report.style.page import Card, render
from adaptwin.report.style.words import count, money, number
from adaptwin.writing import write_atomically


def plans_report(plans: Plans, front: Front | None = None) -> str:
    """Return the plans as one self-contained HTML page; the page of a single plan is that of the plan alone.

    A front, whose first plan is the single one, is shown on its page.
    """
    if not plans.are_several:
        return plan_report(plans.plans[0], front)
    parts = [page_part(plan, f"base-{index}-") for index, plan in enumerate(plans.plans)]
    models, adapters = count(len(plans.plans), "base model"), count(len(plans.workload), "adapter")
    return render(
        "plans.html",
        {key: figure for part in parts for key, figure in part.drawn.items()},
        title=f"{count(plans.gpus, 'GPU')} for {adapters} of {models}",
        summary=total_sentences(plans),
        cards=_total_cards(plans),
        front=None,
        rows=base_rows(plans),
        parts=parts,
    )


def write_plans_report(plans: Plans, path: str | Path, front: Front | None = None) -> None:
    """Write the HTML page of the plans of a fleet to `path`; raises `SpecError` if the file cannot be written."""
    write_atomically(path, plans_report(plans, front))


def _total_cards(plans: Plans) -> list[Card]:
    workload, above = plans.workload, plans.gpus - plans.lower_bound
    note = f"this plan: {count(above, 'GPU')} more" if above > 0 else "this plan is optimal"
    cards = [Card("GPUs", f"{plans.gpus:,}"), Card("Lower bound", f"{plans.lower_bound:,}", note)]
    if plans.cost_per_hour is not None:
        cards.append(Card("Price per hour", money(plans.cost_per_hour)))
    cards += [
        Card("Base models", f"{len(plans.plans):,}"),
        Card("Adapters", f"{len(workload):,}"),
        Card("Requests/s", number(workload.rate), "offered"),
    ]
    verified = Card("Verified", "yes", "simulated with fresh arrivals", "good")
    return [*cards, verified if plans.verified else Card("Verified", "no", "not for every base model", "bad")]
