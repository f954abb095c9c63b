"""deliver_plans: the end of the commands that make plans: files, tables and the exit code."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from adaptwin.cli.printing import show, show_json, tell

if TYPE_CHECKING:
    from adaptwin.plan.front import Front
    from adaptwin.plan.plans import Plans
    from adaptwin.surrogate.surrogate import Surrogate

NOT_PROMISED = 3  # exit code of a plan or a check that does not keep what was promised


def deliver_plans(
    found: "Plans",
    out: Path | None,
    report: Path | None,
    as_json: bool,
    *,
    front: "Front | None" = None,
    surrogate: "Surrogate | Literal['shipped'] | None" = "shipped",
) -> None:
    """Write plans and their report, show them, and say where they are; exit code 3 where they break a promise.

    If a front is given, it is shown and reported together with its first plan, which is the one to be written. The
    surrogate is for the plans that the report compares with.
    """
    if out:
        found.write(out)
    if front and as_json:
        points = [point.model_dump(mode="json") for point in front.points]
        show_json({"points": points, "plans": [plan.model_dump(mode="json") for plan in front.plans]})
    else:
        _show_plans(found, as_json)
    if front and not as_json:
        from adaptwin.report.plan.front import front_table

        show(*front_table(front))
    if report:
        from adaptwin.cli.plan_report import report_of_new_plans

        report_of_new_plans(found, out, report, front, surrogate)
    for path, what in ((out, "plan"), (report, "report")):
        if path:
            tell(f"{what} written to {path}")
    if found.breaks_promise:
        raise typer.Exit(NOT_PROMISED)


def _show_plans(found: "Plans", as_json: bool) -> None:
    from adaptwin.report.plan.migration import migration_table
    from adaptwin.report.plan.plans_table import base_heading, totals_table
    from adaptwin.report.plan.table import plan_table

    if as_json:
        show_json((found if found.are_several else found.plans[0]).model_dump_json(indent=1))
        return
    if found.are_several:
        show(totals_table(found))
    for plan in found.plans:
        steps = [migration_table(plan.migration, plan.gpus)] if plan.migration else []
        show(*base_heading(found, plan), plan_table(plan), *steps)
