"""Safety: whether a plan is safe at a glance, and why not."""

import math
from typing import NamedTuple

from adaptwin.briefing.briefing import Briefing
from adaptwin.plan.forecast import Forecast
from adaptwin.plan.plan import Plan
from adaptwin.report.plan.headroom import headroom_text
from adaptwin.report.style.words import count, duration, percent
from adaptwin.twin.verdict import LONG_WAIT

LITTLE_HEADROOM = 0.05  # as a share of the traffic: below it, a server is not shown as good
GOOD, CAREFUL, BAD = "good", "warn", "bad"  # tones of a page


class Safety(NamedTuple):
    """Whether a plan is safe, as a page shows it."""

    answer: str  # yes, with care, or no
    tone: str
    reasons: tuple[str, ...]  # why it is not safe; what it rests on where it is


def safety(plan: Plan, briefing: Briefing | None = None) -> Safety:
    """Return whether a plan is safe: verified, with some headroom, and without long waits for the first token.

    With a briefing, adapters of which over 1 % of the requests wait long count as well.
    """
    forecasts = {server.name: server.forecast for server in plan.servers if server.forecast}
    if not plan.verified:
        return Safety("no", BAD, (_unsafe_reason(plan),))
    reasons = tuple(
        filter(
            None,
            (_too_little_headroom(forecasts), _long_waits(forecasts), _slow_adapters(briefing), _grade_reason(plan)),
        )
    )
    if reasons:
        return Safety("with care", CAREFUL, reasons)
    if not forecasts:
        return Safety("with care", CAREFUL, ("verified, but its headroom is not known",))
    name, fullest = min(forecasts.items(), key=lambda named: (named[1].headroom, named[0]))
    part = "; extrapolated in part" if any(forecast.extrapolations for forecast in forecasts.values()) else ""
    return Safety("yes", GOOD, (f"verified by the twin; lowest headroom {headroom_text(fullest)} on {name}{part}",))


def _unsafe_reason(plan: Plan) -> str:
    if not plan.promises:
        return "made for throughput: adapters may be starved"
    if plan.confidence is not None and not plan.confidence.reached:
        return "it holds less often than was asked for"
    return "no simulation with fresh arrivals confirms it"


def _too_little_headroom(forecasts: dict[str, Forecast]) -> str:
    low = [name for name, forecast in forecasts.items() if headroom_tone(forecast) != GOOD]
    low.sort(key=lambda name: forecasts[name].headroom)
    return f"headroom of only {percent(forecasts[low[0]].headroom)} on {_first_and_more(low)}" if low else ""


def _long_waits(forecasts: dict[str, Forecast]) -> str:
    slow = [name for name, forecast in forecasts.items() if ttft_tone(forecast) != GOOD]
    slow.sort(key=lambda name: -forecasts[name].ttft_p99)
    return f"TTFT p99 of {duration(forecasts[slow[0]].ttft_p99)} on {_first_and_more(slow)}" if slow else ""


def _first_and_more(names: list[str]) -> str:
    """Name the first, and count the others."""
    return f"{names[0]} and {len(names) - 1:,} more" if len(names) > 1 else names[0]


def _slow_adapters(briefing: Briefing | None) -> str:
    runs = briefing.runs.values() if briefing else ()
    slow = sum(int(run.adapters["sluggish"].sum()) for run in runs)
    return f"{count(slow, 'adapter')} with over 1 % of waits above {LONG_WAIT:g} s" if slow else ""


def _grade_reason(plan: Plan) -> str:
    used = {server.profile for server in plan.servers}
    derived = [profile.name for profile in plan.profiles if profile.name in used and not profile.is_measured]
    if not derived:
        return ""
    which = derived[0] if len(derived) == 1 else count(len(derived), "profile")
    return f"{which} was not measured on a real server"


def headroom_tone(forecast: Forecast) -> str:
    """Return the tone of the headroom of a server: good from 5 % on, bad where it has none."""
    if forecast.headroom >= LITTLE_HEADROOM or math.isnan(forecast.headroom):
        return GOOD
    return CAREFUL if forecast.headroom > 0 else BAD


def ttft_tone(forecast: Forecast) -> str:
    """Return the tone of the TTFT of a server: with care where over 1 % of requests wait for more than 2 s."""
    return CAREFUL if forecast.ttft_p99 > LONG_WAIT and math.isfinite(forecast.ttft_p99) else GOOD
