"""Sentences about a plan, for its table and its page."""

import math
from collections import Counter
from collections.abc import Callable

from adaptwin.plan.forecast import Forecast
from adaptwin.plan.plan import Plan
from adaptwin.report.style.words import count, duration, money, percent

_UNCERTAIN_FIGURES: tuple[tuple[str, str, Callable[[Forecast], float]], ...] = (
    ("throughput", "throughput", lambda forecast: forecast.throughput),
    ("mean ITL", "itl.mean", lambda forecast: forecast.itl_mean),
)


def bound_sentences(plan: Plan) -> tuple[str, ...]:
    """What the lower bounds say about this plan: on GPUs where these are its goal, and on a known price."""
    on_gpus = () if plan.goal != "gpus" else (bound_sentence(plan),)
    return tuple(filter(None, (*on_gpus, cost_sentence(plan))))


def bound_sentence(plan: Plan) -> str:
    """How far the number of GPUs is from the lower bound."""
    above = plan.gpus - plan.lower_bound
    spares = f", {plan.options.spare} of them spare" if plan.options.spare else ""
    bound = f"No plan under these profiles can do with fewer than {count(plan.lower_bound, 'GPU')}{spares}"
    if above <= 0:
        return f"{bound}: this one is optimal."
    return f"{bound} (lower bound): this one is at most {count(above, 'GPU')} above the best."


def cost_sentence(plan: Plan) -> str:
    """What the plan costs per hour, and how far that can be from the best; empty where prices are unknown."""
    cost, bound = plan.cost_per_hour, plan.cost_bound
    if cost is None:
        return ""
    if bound is None:
        return f"Price per hour: {money(cost)}."
    said = f"No plan under these profiles can cost less than {money(bound)} per hour"
    if cost - bound < 0.005:
        return f"{said}: this one is optimal."
    return f"{said} (lower bound): this one, for {money(cost)}, is at most {money(cost - bound)} above the best."


def used_gpus(plan: Plan) -> str:
    """How many GPUs of which profile: ``2 × h100-..., 1 × l40s-...``."""
    names = [profile.name for profile in plan.profiles]
    used = Counter(sorted((server.profile for server in plan.servers), key=names.index))
    return ", ".join(f"{many:,} × {name}" for name, many in used.items())


def verified_sentence(plan: Plan) -> str:
    """Whether the plan was checked, and how."""
    if plan.verified:
        return "Verified: a twin run per GPU with fresh seeds found nobody starving."
    if not plan.promises:
        forecasts = [server.forecast for server in plan.servers if server.forecast]
        offered = sum(forecast.offered_throughput for forecast in forecasts)
        served = sum(forecast.throughput for forecast in forecasts) / offered if offered else 1.0
        return f"Too few GPUs for everybody: {percent(served)} of the tokens offered are served within the window."
    return "Not verified: no twin run with fresh seeds has confirmed this plan."


def failover_sentence(plan: Plan) -> str:
    """What happens when GPUs fail, and with what latency; empty where the plan has no spare GPUs."""
    if not plan.options.spare:
        return ""
    if plan.standbys:
        names = ", ".join(server.name for server in plan.standbys)
        then = f"a standby ({names}) starts with its settings and takes its adapters over; a cold start"
    else:
        then = "its adapters move to servers that run; no restart, no standby"
    tails = [failover.itl_p99 for failover in plan.failover if failover.itl_p99 and math.isfinite(failover.itl_p99)]
    latency = f" ITL p99 is then up to {duration(max(tails))}." if tails else ""
    seeds = "" if plan.standbys else f" with {count(len(plan.verified_seeds), 'fresh seed')}"
    checked = f" Verified{seeds}." if plan.verified else " Not verified."
    return f"Any {count(plan.options.spare, 'GPU')} may fail: {then}.{latency}{checked}"


def rejected_sentence(plan: Plan) -> str:
    """How many requests are too long for the servers; empty where none is too long."""
    rejected = sum(server.forecast.rejected for server in plan.servers if server.forecast)
    window = duration(plan.workload.duration)
    return f"{count(rejected, 'request')} in {window} would be rejected: longer than max_model_len." if rejected else ""


def uncertainty_sentence(plan: Plan) -> str:
    """How far a real GPU may be from the forecasts; empty where the profiles hold no intervals."""
    known = [server.forecast for server in plan.servers if server.forecast and server.forecast.intervals]
    widths = {
        name: max((f.intervals[metric][1] / value(f) - 1.0 for f in known if metric in f.intervals), default=0.0)
        for name, metric, value in _UNCERTAIN_FIGURES
    }
    told = [f"{name} within {percent(width)}" for name, width in widths.items() if width > 0]
    return f"A real GPU would have {' and '.join(told)} of these figures, nine times in ten." if told else ""


def made_how(plan: Plan) -> str:
    """Objective, strategy, seed, headroom and margin asked for, planning time, and how often the twin was asked."""
    parts = [f"Objective {plan.options.objective}", f"strategy {plan.options.strategy}", f"seed {plan.seed}"]
    if plan.options.headroom:
        parts.append(f"headroom asked for {percent(plan.options.headroom)}")
    if plan.margin:
        parts.append(f"margin {percent(plan.margin)}")
    if plan.planning_seconds:
        search = f" (search {duration(plan.search_seconds)})" if plan.search_seconds else ""
        parts.append(f"planned in {duration(plan.planning_seconds)}{search}")
    if plan.predictions:
        parts.append(f"with {count(plan.predictions, 'prediction')} and {count(plan.twin_runs, 'twin run')}")
    return ", ".join(parts)
