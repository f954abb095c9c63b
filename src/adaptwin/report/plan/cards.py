"""The cards of a plan's page: what people look for first."""

import math

from adaptwin.briefing.briefing import Briefing
from adaptwin.plan.placements import placements
from adaptwin.plan.plan import Plan
from adaptwin.report.plan.headroom import headroom_text
from adaptwin.report.plan.safety import headroom_tone, safety, ttft_tone
from adaptwin.report.plan.sentences import bound_note, used_gpus
from adaptwin.report.style.page import Card
from adaptwin.report.style.words import NOTHING, count, duration, money, number, percent, round_money

HOURS_PER_MONTH = 730.0


def plan_cards(plan: Plan, briefing: Briefing | None) -> list[Card]:
    """Return the cards of a plan: GPUs, whether it is safe, its price, a naive plan; then what these rest on."""
    safe = safety(plan, briefing)
    return [
        Card("GPUs", f"{plan.gpus:,}", used_gpus(plan)),
        Card("Safe", safe.answer, "; ".join(safe.reasons), safe.tone),
        _price_card(plan),
        *_naive_card(plan, briefing),
        Card("Lower bound", count(plan.lower_bound, "GPU"), bound_note(plan)),
        *_forecast_cards(plan),
        _traffic_card(plan),
    ]


def _price_card(plan: Plan) -> Card:
    if plan.cost_per_hour is None:
        return Card("Price", "not known", "no price of a GPU is given")
    currency = plan.options.currency
    month = f"{round_money(HOURS_PER_MONTH * plan.cost_per_hour, currency)} per month of 730 h"
    bound = "" if plan.cost_bound is None else f"; any plan costs at least {money(plan.cost_bound, currency)}"
    return Card("Price per hour", money(plan.cost_per_hour, currency), month + bound)


def _naive_card(plan: Plan, briefing: Briefing | None) -> list[Card]:
    naive = briefing.naive if briefing else None
    if naive is None:
        return []
    how = "adapters dealt in turn, a slot for each"
    if naive.gpus is None:
        return [Card("A naive plan", "is impossible", f"{how}: no number of GPUs serves them all")]
    if not naive.verified:
        return [Card("A naive plan", f"over {naive.gpus:,} GPUs", f"{how}: not even these hold")]
    more = naive.gpus - plan.gpus
    share = f": {percent(more / plan.gpus)} more" if more > 0 and plan.gpus else ": as many" if not more else ""
    price = ""
    if naive.cost_per_hour is not None and plan.cost_per_hour is not None and more:
        saved = HOURS_PER_MONTH * (naive.cost_per_hour - plan.cost_per_hour)
        price = f"; this plan saves {round_money(saved, plan.options.currency)} per month" if saved > 0 else ""
    return [Card("A naive plan", count(naive.gpus, "GPU"), f"{how}{share}{price}")]


def _forecast_cards(plan: Plan) -> list[Card]:
    forecasts = [(server.name, server.forecast) for server in plan.servers if server.forecast]
    cards = []
    if forecasts:
        name, fullest = min(forecasts, key=lambda named: (named[1].headroom, named[0]))
        cards.append(Card("Lowest headroom", headroom_text(fullest), name, _unless_good(headroom_tone(fullest))))
    tails = [(forecast.ttft_p99, name, forecast) for name, forecast in forecasts if math.isfinite(forecast.ttft_p99)]
    if tails:
        worst, name, forecast = max(tails, key=lambda each: each[:2])
        cards.append(Card("Worst TTFT p99 of a GPU", duration(worst), name, _unless_good(ttft_tone(forecast))))
    return cards


def _unless_good(tone: str) -> str:
    return "" if tone == "good" else tone


def _traffic_card(plan: Plan) -> Card:
    tokens = sum(row.tokens for row in placements(plan))
    offered = f"{number(plan.workload.rate)} requests/s, {number(tokens) if tokens else NOTHING} tokens/s"
    return Card("Adapters", f"{len(plan.workload):,}", f"{offered} offered")
