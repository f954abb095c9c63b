"""Extrapolation: how a server and its traffic differ from the real servers that a profile was compared with."""

from collections.abc import Iterator

from pydantic import Field

from adaptwin.profile.evidence import ROUGH, Evidence
from adaptwin.profile.measured import RunRange
from adaptwin.profile.profile import Profile, Regime
from adaptwin.spec import Line, Spec
from adaptwin.twin.server import Server
from adaptwin.workload.arrival_kinds import arrival_families
from adaptwin.workload.demand.mean_lengths import mean_lengths, shares_longer
from adaptwin.workload.demand.shared_share import shared_share
from adaptwin.workload.workload import Workload

# The costs of a step are smooth in the lengths, so that means near the measured ones count as measured.
LENGTH_FACTOR = 2.0
FEW_LONGER = 0.05  # share of the tokens that may be in prompts or answers longer than the longest measured one


class Extrapolation(Spec):
    """One respect in which a server differs from those that were measured."""

    subject: Line = Field(description="quantity, setting or fact, in words")
    value: float | None = Field(default=None, description="value on this server; None where the subject says it all")
    unit: Line = Field(default="", description="unit of the value")
    measured: Line = Field(default="", description="values that were measured, in words; empty where there are none")
    widens: bool = Field(
        default=False, description="whether intervals are wider for it; otherwise there are no intervals at all"
    )


def extrapolations(profile: Profile, server: Server, workload: Workload) -> tuple[Extrapolation, ...]:
    """Return how a server under a workload differs from those that the profile's accuracy was measured with.

    Where it differs in anything, the error and the spread of a measured profile say nothing about it. Those of a
    derived profile are wide as it is, and each difference widens the intervals.
    """
    claimed = profile.claimed
    if claimed is None:
        return (Extrapolation(subject=f"profile {profile.name} {_why_not_claimed(profile)}"),)
    is_derived = profile.is_derived
    found = (
        *_of_traffic(claimed, workload),
        *_of_adapters(claimed, server, workload),
        *_of_flags(claimed, profile, server),
        *_of_prefixes(profile, server, workload),
        *(_of_derivation(profile.evidence, server) if profile.evidence and is_derived else ()),
    )
    return tuple(each.model_copy(update={"widens": is_derived}) for each in found)


def _why_not_claimed(profile: Profile) -> str:
    if profile.measured is not None:
        return "has changed since it was compared with real runs"
    if profile.evidence is None:
        return "was not compared with real runs"
    if not profile.is_derived:
        return "has changed since it was derived"
    if profile.grade == ROUGH:
        return "is only rough: it is of a model with experts, and no real server with such a model was compared"
    return "is of a model or of a version of vLLM that the laws do not describe"


def _of_derivation(evidence: Evidence, server: Server) -> Iterator[Extrapolation]:
    """Yield what of the GPU and of vLLM no real server was compared for, if a profile is derived."""
    for subject in (*evidence.unchecked, *(evidence.unchecked_with_adapters if server.max_loras else ())):
        yield Extrapolation(subject=subject)


def unmeasured_regime(regime: Regime) -> Extrapolation:
    """Return the difference of a server whose regime no real run, or too few, were in."""
    return Extrapolation(subject=f"too few {regime} servers were measured")


def short_window(seconds: float, least: float) -> Extrapolation:
    """Return the difference of a run whose window is too short for a comparison with a real server."""
    return Extrapolation(
        subject="counted seconds:", value=round(seconds, 1), measured=f"in windows of at least {least:g} s"
    )


def _of_traffic(measured: RunRange, workload: Workload) -> Iterator[Extrapolation]:
    means = mean_lengths(workload)
    longer = shares_longer(workload, prompt=measured.longest_prompt, answer=measured.longest_answer)
    for what, mean, bounds, share, longest in (
        ("prompt", means.prompt, measured.prompt, longer.prompts, measured.longest_prompt),
        ("answer", means.answer, measured.answer, longer.answers, measured.longest_answer),
    ):
        if not bounds[0] / LENGTH_FACTOR <= mean <= bounds[1] * LENGTH_FACTOR:
            known = f"{_in_range_words(*bounds)}, the longest {longest:,}"
            yield Extrapolation(subject=f"mean {what}", value=round(mean), unit=" tokens", measured=known)
        elif share > FEW_LONGER:
            known = f"the longest {what} had {longest:,}"
            yield Extrapolation(
                subject=f"share of {what} tokens in {what}s of over {longest:,}:",
                value=round(100 * share),
                unit=" %",
                measured=known,
            )
    if (rate := round(workload.rate)) > round(measured.request_rate):
        known = f"up to {measured.request_rate:,.0f}"
        yield Extrapolation(subject="requests per second:", value=rate, measured=known)
    for family in arrival_families(workload):
        if family not in measured.arrivals:
            yield Extrapolation(subject=f"{family} arrivals", measured=", ".join(measured.arrivals))


def _of_prefixes(profile: Profile, server: Server, workload: Workload) -> Iterator[Extrapolation]:
    """Yield that prompts begin alike and are cached: those of the measured runs did not."""
    if server.with_defaults(profile).enable_prefix_caching and (share := shared_share(workload)):
        yield Extrapolation(
            subject="share of the prompt tokens that may be cached:",
            value=round(100 * share),
            unit=" %",
            measured="none",
        )


def _of_adapters(measured: RunRange, server: Server, workload: Workload) -> Iterator[Extrapolation]:
    loras = sum(adapter.rank > 0 for adapter in workload.adapters)
    for subject, value, most in (("rank", workload.max_rank, measured.rank), ("adapters:", loras, measured.adapters)):
        if value > most:
            yield Extrapolation(subject=subject, value=value, measured=f"up to {most:,}")
    fewest, most = measured.max_loras
    few = server.max_loras < fewest and (loras > server.max_loras or server.max_loras == 0)
    if server.max_loras > most or few:
        yield Extrapolation(subject="max_loras", value=server.max_loras, measured=_in_range_words(fewest, most))
    if server.max_loras and server.max_lora_rank > measured.max_lora_rank[1]:
        known = _in_range_words(*measured.max_lora_rank)
        yield Extrapolation(subject="max_lora_rank", value=server.max_lora_rank, measured=known)


def _of_flags(measured: RunRange, profile: Profile, server: Server) -> Iterator[Extrapolation]:
    budget, seqs = server.budgets(profile)
    if seqs > measured.max_num_seqs[1]:
        yield Extrapolation(subject="max_num_seqs", value=seqs, measured=_in_range_words(*measured.max_num_seqs))
    fewest, most = measured.max_num_batched_tokens
    if not fewest <= budget <= most:
        yield Extrapolation(subject="max_num_batched_tokens", value=budget, measured=_in_range_words(fewest, most))
    used = server.with_defaults(profile)
    for name, value in measured.settings.items():
        if getattr(used, name) != value:
            shown = str(getattr(used, name)).lower()
            yield Extrapolation(subject=f"{name} {shown}", measured=str(value).lower())


def _in_range_words(low: float, high: float) -> str:
    first, last = f"{low:,.0f}", f"{high:,.0f}"
    return first if first == last else f"{first} to {last}"
