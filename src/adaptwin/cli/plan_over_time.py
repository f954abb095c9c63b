"""adaptwin plan for rates that change over time: one plan for all periods, or a schedule of plans."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from adaptwin.cli.deliver_plans import NOT_PROMISED, deliver_plans
from adaptwin.cli.printing import show, show_json, tell
from adaptwin.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adaptwin.cli.plan_call import PlanCall
    from adaptwin.plan.plan_over_time import PlanOverTime
    from adaptwin.plan.schedule import FoundSchedule
    from adaptwin.replanning.find_schedule import ChangeCosts
    from adaptwin.workload.rates_over_time import RatesOverTime

STATIC_SHARE = 0.25  # share of a time limit for the one plan that the schedule starts from


def plan_over_time(call: "PlanCall", rates: "RatesOverTime") -> None:
    """Find one plan for all periods of a fleet's rates, show it, and say in which periods it holds."""
    from adaptwin.placement.fleet import plan_fleet_over_time
    from adaptwin.plan.plans import Plans

    with call.searching() as progress:
        found = plan_fleet_over_time(
            call.fleet,
            call.profiles,
            rates,
            call.overrides,
            arrivals=call.arrivals,
            seed=call.seed,
            surrogate=call.surrogate,
            progress=progress,
        )
        plans = call.stressed(Plans(plans=tuple(each.plan for each in found)), progress)
    _say_periods(found, call.as_json)
    deliver_plans(plans, call.out, call.report, call.as_json, surrogate=call.surrogate)


def plan_schedule(call: "PlanCall", rates: "RatesOverTime", costs: "ChangeCosts") -> None:
    """Find a schedule of plans for the periods of a fleet's rates, write it to a folder, and show it."""
    from adaptwin.placement.fleet import plan_fleet_over_time
    from adaptwin.replanning.find_schedule import find_schedule

    if len({profile.model.name for profile in call.profiles}) > 1:
        raise SpecError("is for one base model, but the profiles have several: plan each on its own", "--schedule")
    limit = call.time_limit
    asked: dict[str, Any] = {"seed": call.seed, "surrogate": call.surrogate}
    overrides = {**call.overrides, **({"time_limit": limit * STATIC_SHARE} if limit else {})}
    with call.searching() as progress:
        asked["progress"] = progress
        found = plan_fleet_over_time(call.fleet, call.profiles, rates, overrides, arrivals=call.arrivals, **asked)
        scheduled = find_schedule(
            found[0].plan, rates, costs=costs, time_limit=limit and limit * (1.0 - STATIC_SHARE), **asked
        )
    _say_periods(found, call.as_json)
    _deliver_schedule(scheduled, call.out, call.as_json)


def _say_periods(found: "Sequence[PlanOverTime]", as_json: bool) -> None:
    from adaptwin.report.plan.periods import period_sentences

    for each in found:
        base = f"{each.plan.base}: " if len(found) > 1 else ""
        for sentence in period_sentences(each):
            (tell if as_json else show)(f"{base}{sentence}")


def _deliver_schedule(found: "FoundSchedule", out: Path | None, as_json: bool) -> None:
    """Write a schedule and its plans, show it, and say where it is; exit code 3 where a plan is not verified."""
    from adaptwin.report.plan.schedule import schedule_table

    if out:
        earlier = sorted(path.name for path in out.glob("plan-*.yaml") if path.name not in found.files())
        found.write(out)
    if as_json:
        show_json(found.schedule.model_dump_json(indent=1))
    else:
        show(schedule_table(found.schedule))
    if out:
        tell(f"{len(found.files())} files written to {out}")
        if earlier:
            tell(f"warning: not of this schedule, and left in {out}: {', '.join(earlier)}")
    if not found.schedule.verified:
        raise typer.Exit(NOT_PROMISED)
