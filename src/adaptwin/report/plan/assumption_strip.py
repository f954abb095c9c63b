"""The strip of assumptions under the title of a page: what all its figures rest on, in a few words each."""

from collections.abc import Iterable
from typing import NamedTuple

from adaptwin.plan.plan import Plan
from adaptwin.profile.profile import Profile
from adaptwin.report.plan.chosen_settings import budget_of
from adaptwin.report.style.words import percent, share_text
from adaptwin.twin.assumptions import evidence, lengths_in_words, traffic_in_words
from adaptwin.workload.demand.shared_share import alike_in_words


class Assumed(NamedTuple):
    """An assumption: what it is about, and what is assumed."""

    about: str
    what: str


def assumption_strip(plan: Plan) -> list[Assumed]:
    """Return what the figures of a plan assume, most important first."""
    used = {server.profile for server in plan.servers}
    profiles = [profile for profile in plan.profiles if profile.name in used]
    return [
        Assumed("Model", plan.base),
        Assumed("GPU", _each_once(profile.server_hardware for profile in profiles)),
        Assumed("vLLM", _each_once(profile.vllm_version for profile in profiles)),
        Assumed("Figures", f"{_each_once(map(_trust, profiles))}{_extrapolated_in_part(plan)}"),
        Assumed("Request lengths", lengths_in_words(plan.workload)),
        Assumed("Arrivals", traffic_in_words(plan.workload)),
        Assumed("max_num_seqs", _batch_in_words(plan)),
        Assumed("Prompts that begin alike", _prefixes_in_plan(plan)),
    ]


def _prefixes_in_plan(plan: Plan) -> str:
    """Say how much of the prompts begins like earlier ones, and how much of them the servers find in cached blocks."""
    if not plan.workload.shares_prefixes:
        return "none: every prompt is computed in full"
    rates = [server.forecast.prefix_hit_rate for server in plan.servers if server.forecast]
    if not rates:
        return f"{alike_in_words(plan.workload)}; how many of them are cached is not known without forecasts"
    found = [rate for rate in rates if rate is not None]
    shown = dict.fromkeys(percent(rate) for rate in (min(found, default=0.0), max(found, default=0.0)))
    hits = f"; cached: {' to '.join(shown)} of the prompt tokens of a server" if found else "; no prefix caching"
    return f"{alike_in_words(plan.workload)}{hits}"


def _each_once(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))


def _trust(profile: Profile) -> str:
    error = profile.error if profile.claimed else None
    if error is None:
        return evidence(profile)
    itl = f", ITL {error.itl:.1f} %" if error.itl is not None else ""
    where = "" if profile.is_measured else "on other machines, "
    return f"{evidence(profile)}; {where}throughput {share_text(profile.twin_error)}{itl} off"


def _extrapolated_in_part(plan: Plan) -> str:
    forecasts = [server.forecast for server in plan.servers if server.forecast]
    return "; extrapolated in part" if any(forecast.extrapolations for forecast in forecasts) else ""


def _batch_in_words(plan: Plan) -> str:
    values = sorted({budget_of(plan, server, "max_num_seqs") for server in plan.serving})
    if not values:
        return ""
    given = plan.settings.max_num_seqs is not None
    left_open = all(server.server.max_num_seqs is None for server in plan.serving)
    origin = "as given" if given else "vLLM's default" if left_open else "chosen by the plan"
    shown = f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"
    return f"{shown} ({origin})"
