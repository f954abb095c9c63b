"""plan_report: find out what the report of plans shows, and write it."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from adaptwin.cli.printing import tell

if TYPE_CHECKING:
    from adaptwin.briefing.briefing import Briefing
    from adaptwin.plan.front import Front
    from adaptwin.plan.plans import Plans
    from adaptwin.surrogate.surrogate import Surrogate

_LONG_PLANNING = 30.0  # seconds: after longer planning, a report leaves out what needs more plans


def report_of_new_plans(
    plans: "Plans",
    out: Path | None,
    report: Path,
    front: "Front | None",
    surrogate: "Surrogate | Literal['shipped'] | None",
) -> None:
    """Write the report of plans that were just made; after long planning, it leaves out what needs more plans."""
    from adaptwin.briefing.make_briefing import MORE_TRAFFIC

    spent = sum(plan.planning_seconds for plan in plans.plans)
    is_quick = spent <= _LONG_PLANNING
    file = out.name if out else "plan.yaml"
    factors = MORE_TRAFFIC if is_quick else ()
    write_report(plans, report, file, front, more_traffic=factors, compares=is_quick, surrogate=surrogate)
    if not is_quick:
        tell(
            f"the report has no naive plan and no plans for more traffic, because planning took {spent:.0f} s: "
            f"adaptwin report {file} finds them"
        )


def write_report(
    plans: "Plans",
    report: Path,
    file: str,
    front: "Front | None" = None,
    *,
    more_traffic: Sequence[float],
    compares: bool,
    surrogate: "Surrogate | Literal['shipped'] | None",
) -> list["Briefing"]:
    """Find out what the report of plans shows, write it, and return it; `file` is the name of the plans' file."""
    from adaptwin.briefing.make_briefing import make_briefing
    from adaptwin.cli.progress import progress_bar
    from adaptwin.report.plan.page import PageOrigin
    from adaptwin.report.plan.plans_page import write_plans_report

    with progress_bar() as progress:
        found = [
            make_briefing(plan, more_traffic=more_traffic, compares=compares, surrogate=surrogate, progress=progress)
            for plan in plans.plans
        ]
    write_plans_report(plans, report, front, found, PageOrigin(file, date.today().isoformat()))
    return found
