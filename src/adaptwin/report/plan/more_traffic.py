"""What happens to a plan when its traffic grows, as rows of a table."""

from collections import Counter
from typing import NamedTuple

from adaptwin.briefing.briefing import Briefing, MoreTraffic
from adaptwin.plan.plan import Plan
from adaptwin.report.plan.cards import HOURS_PER_MONTH
from adaptwin.report.plan.safety import BAD, CAREFUL, GOOD
from adaptwin.report.plan.server_noun import server_noun
from adaptwin.report.style.words import NOTHING, count, number, round_money

NAMED_FAILING = 3


class TrafficRow(NamedTuple):
    """A row of the table: some traffic, whether this plan holds with it, and what a new plan needs."""

    traffic: str
    request_rate: str
    holds: str
    tone: str
    why: str  # the servers that fail
    gpus: str
    month: str


def traffic_rows(plan: Plan, briefing: Briefing) -> list[TrafficRow]:
    """Return a row for the traffic of the plan and each larger one."""
    now = TrafficRow(
        "as planned",
        number(plan.workload.rate),
        "holds" if plan.verified else "not verified",
        GOOD if plan.verified else BAD,
        "",
        f"{plan.gpus:,}",
        _per_month(plan, plan.cost_per_hour),
    )
    return [now, *(_traffic_row(plan, found) for found in briefing.more_traffic)]


def _traffic_row(plan: Plan, found: MoreTraffic) -> TrafficRow:
    serving, failing = len(plan.serving), len(found.failing)
    holds = (
        "holds"
        if not failing
        else f"{failing:,} of {count(serving, server_noun(plan))} {'fails' if failing == 1 else 'fail'}"
    )
    unknown = any(server.forecast is None for server in plan.serving)
    return TrafficRow(
        f"× {found.factor:g}",
        number(plan.workload.rate * found.factor),
        "not known" if unknown and not failing else holds,
        CAREFUL if unknown and not failing else BAD if failing else GOOD,
        _why(found),
        _gpus(plan, found),
        _per_month(plan, found.cost_per_hour),
    )


def _why(found: MoreTraffic) -> str:
    if len(found.failing) <= NAMED_FAILING:
        return ", ".join(f"{name} {grade}" for name, grade in found.failing.items())
    return ", ".join(f"{many:,} {grade}" for grade, many in Counter(found.failing.values()).most_common())


def _gpus(plan: Plan, found: MoreTraffic) -> str:
    if found.gpus is None:
        return "no plan"
    more = found.gpus - plan.gpus
    change = f" (+{more:,})" if more > 0 else f" ({more:,})" if more < 0 else ""
    return f"{found.gpus:,}{change}{'' if found.verified else ', not verified'}"


def _per_month(plan: Plan, cost_per_hour: float | None) -> str:
    if cost_per_hour is None:
        return NOTHING
    return round_money(HOURS_PER_MONTH * cost_per_hour, plan.options.currency)
