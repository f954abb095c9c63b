"""Sentences and figures about the plans of several base models together, shared by the table and the page."""

import math
from typing import NamedTuple

from adaptwin.plan.plan import Plan
from adaptwin.plan.plans import Plans
from adaptwin.report.plan.headroom import headroom_text
from adaptwin.report.style.words import NOTHING, count, duration, money, number

_WITH_OWN_GPUS = "no plan with these profiles in which every base model has GPUs of its own can"


class BaseRow(NamedTuple):
    """The figures of one base model, as text."""

    base: str
    gpus: str
    bound: str
    price: str
    adapters: str
    rate: str
    headroom: str
    ttft: str
    verified: str


def base_rows(plans: Plans) -> list[BaseRow]:
    """Return a row of figures for each base model."""
    return [_base_row(plan) for plan in plans.plans]


def _base_row(plan: Plan) -> BaseRow:
    forecasts = [server.forecast for server in plan.servers if server.forecast]
    fullest = min(forecasts, key=lambda forecast: forecast.headroom, default=None)
    tails = [forecast.ttft_p99 for forecast in forecasts if math.isfinite(forecast.ttft_p99)]
    return BaseRow(
        base=plan.base,
        gpus=f"{plan.gpus:,}",
        bound=f"{plan.lower_bound:,}",
        price=NOTHING if plan.cost_per_hour is None else money(plan.cost_per_hour, plan.options.currency),
        adapters=f"{len(plan.workload):,}",
        rate=number(plan.workload.rate),
        headroom=headroom_text(fullest, over=">") if fullest else NOTHING,
        ttft=duration(max(tails)) if tails else NOTHING,
        verified="yes" if plan.verified else "no",
    )


def fleet_sentence(plans: Plans) -> str:
    """Say how many GPUs serve the fleet, what it consists of, and the price per hour if it is known."""
    workload = plans.workload
    priced = (
        "" if plans.cost_per_hour is None else f", at a price of {money(plans.cost_per_hour, plans.currency)} per hour"
    )
    adapters = f"{count(len(workload), 'adapter')} of {count(len(plans.plans), 'base model')}"
    return f"{count(plans.gpus, 'GPU')} for {adapters} with {number(workload.rate)} requests/s{priced}."


def total_sentences(plans: Plans) -> tuple[str, ...]:
    """Say how far the plans are from their lower bounds, whether all are verified, and what happens on failures."""
    return tuple(filter(None, (_bound(plans), _cost(plans), _spares_of_each(plans), total_verified_sentence(plans))))


def _bound(plans: Plans) -> str:
    """Say how far the number of GPUs is from the lower bound; empty if it is not what the plans optimise."""
    if any(plan.goal != "gpus" for plan in plans.plans):
        return ""
    above = plans.gpus - plans.lower_bound
    bound = f"Lower bound: {_WITH_OWN_GPUS} use fewer than {count(plans.lower_bound, 'GPU')}."
    if above <= 0:
        return f"{bound} This plan is optimal."
    return f"{bound} This plan is at most {count(above, 'GPU')} above the optimum."


def _cost(plans: Plans) -> str:
    """Say how far the price is from its lower bound; empty if one of them is unknown."""
    cost, bound, currency = plans.cost_per_hour, plans.cost_bound, plans.currency
    if cost is None or bound is None:
        return ""
    said = f"Lower bound: {_WITH_OWN_GPUS} cost less than {money(bound, currency)} per hour."
    if cost - bound < 0.005:
        return f"{said} This plan is optimal."
    return f"{said} This plan costs {money(cost, currency)}, at most {money(cost - bound, currency)} above the optimum."


def _spares_of_each(plans: Plans) -> str:
    spare = min(plan.options.spare for plan in plans.plans)
    return f"Any {count(spare, 'GPU')} may fail: every base model has spare GPUs of its own." if spare else ""


def total_verified_sentence(plans: Plans) -> str:
    """Say whether every plan was verified, and else which was not."""
    failed = [plan.base for plan in plans.plans if not plan.verified]
    if failed:
        return f"Not verified: {', '.join(failed)}."
    if any(plan.verified_servers is not None for plan in plans.plans):
        again = "simulated again with fresh arrivals, some servers for others that they are like"
        return f"Verified by samples: {again}; no adapter is starved."
    return "Verified: every server simulated again with fresh arrivals; no adapter is starved."
