"""adaptwin report: a plan -> a page for people."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptwin.cli.help import default_note
from adaptwin.cli.options import SHIPPED, AsJson, PlanFile, SurrogateName, surrogate_named
from adaptwin.cli.printing import show_json, tell
from adaptwin.visible import quoted
from adaptwin.writable import require_writable

if TYPE_CHECKING:
    from adaptwin.briefing.briefing import Briefing
    from adaptwin.plan.plan import Plan

_NO_FACTORS = "none"
_MOST_FACTOR = 10.0


def traffic_factors(text: str) -> tuple[float, ...]:
    """Return the factors on the traffic, such as 1.25,1.5,2; none for the word none."""
    if text.strip() == _NO_FACTORS:
        return ()
    try:
        factors = tuple(float(part) for part in text.split(","))
    except ValueError:
        factors = ()
    if not factors or not all(1.0 < factor <= _MOST_FACTOR for factor in factors):
        raise typer.BadParameter(f"{quoted(text)} is not numbers above 1 and up to 10, as in 1.25,1.5,2, or none")
    return tuple(sorted(set(factors)))


def report_command(
    plan: PlanFile,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help=f"HTML file to write. {default_note('that of the plan, with the ending .html')}",
        ),
    ] = None,
    more_traffic: Annotated[
        str,
        typer.Option(
            "--more-traffic",
            metavar="FACTORS",
            help="Factors on all traffic, for each of which the page says whether the plan holds and how many GPUs a "
            "new plan needs; or none.",
        ),
    ] = "1.25,1.5,2",
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Search for no other plans: no more traffic, no naive plan, no savings."),
    ] = False,
    surrogate: SurrogateName = SHIPPED,
    as_json: AsJson = False,
) -> None:
    """Write a page about a plan that needs no other file: for a browser, a phone, or to print.

    Every server is simulated again for its adapters and its course over time, and other plans are searched for: one
    without a planner, to compare with, and those for more traffic.
    """
    from adaptwin.cli.plan_report import write_report
    from adaptwin.plan.plans import Plans

    factors = traffic_factors(more_traffic)
    page = out or plan.with_suffix(".html")
    require_writable(page, inputs=[plan])
    known, plans = surrogate_named(surrogate), Plans.read(plan)
    found = write_report(
        plans, page, plan.name, more_traffic=() if quick else factors, compares=not quick, surrogate=known
    )
    if as_json:
        reports = [_as_data(each, briefing) for each, briefing in zip(plans.plans, found, strict=True)]
        show_json({"report": str(page), "plans": reports})
    tell(f"report written to {page}")


def _as_data(plan: "Plan", briefing: "Briefing") -> dict[str, Any]:
    from adaptwin.report.plan.safety import safety

    safe = safety(plan, briefing)
    return {
        "base": plan.base,
        "gpus": plan.gpus,
        "safe": safe.answer,
        "reasons": list(safe.reasons),
        "cost_per_hour": plan.cost_per_hour,
        "currency": plan.options.currency or None,
        "naive": briefing.naive and briefing.naive._asdict(),
        "more_traffic": [{**found._asdict(), "failing": dict(found.failing)} for found in briefing.more_traffic],
        "savings": [saving.model_dump(mode="json") for saving in briefing.savings],
    }
