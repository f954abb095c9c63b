"""Assumptions: what simulated figures stand for, in words - models and GPUs, settings, lengths, arrivals, caching."""

from collections.abc import Iterable

from adaptwin.profile.evidence import BASE_CHECKED, CORRECTED, DATA_SHEET, MEASURED, NOT_CLAIMED, EvidenceGrade
from adaptwin.profile.profile import Profile
from adaptwin.profile.stored_widths import stored_widths
from adaptwin.twin.server import Server
from adaptwin.workload.arrival_kinds import arrivals_in_words
from adaptwin.workload.demand.mean_lengths import mean_lengths
from adaptwin.workload.lora_ranks import padding_in_words
from adaptwin.workload.workload import Workload

VLLM_DEFAULT = "vLLM's default"
USUAL_UTILIZATION = 0.9  # which is not worth a word
NO_HITS = "no hits in the prefix cache"


def assumptions(workload: Workload, servers: Iterable[tuple[Profile, Server]]) -> tuple[str, ...]:
    """Return what the figures of these servers under this workload assume, one clause each.

    Servers that differ only in what the planner chooses, such as slots, have one clause together.
    """
    servers = list(servers)
    clauses = (
        *(_server_in_words(profile, server) for profile, server in servers),
        *(_padding_in_words(workload, profile) for profile, _ in servers),
    )
    stated = tuple(clause for clause in dict.fromkeys(clauses) if clause)
    return (*stated, _lengths_in_words(workload), _traffic_in_words(workload), NO_HITS)


def _server_in_words(profile: Profile, server: Server) -> str:
    used, defaults = server.with_defaults(profile), {"max_model_len": "the model's"}
    of = ", ".join(
        f"{name} {getattr(used, name):,}{_default_in_words(getattr(server, name), defaults.get(name, VLLM_DEFAULT))}"
        for name in ("max_num_seqs", "max_num_batched_tokens", "max_model_len")
    )
    if used.gpu_memory_utilization != USUAL_UTILIZATION:
        given = _default_in_words(server.gpu_memory_utilization, VLLM_DEFAULT)
        of += f", gpu_memory_utilization {used.gpu_memory_utilization:g}{given}"
    if used.async_scheduling:
        of += f", async_scheduling true{_default_in_words(server.async_scheduling, VLLM_DEFAULT)}"
    where = f"{profile.server_hardware}, vLLM {profile.vllm_version}"
    widths = f" ({bits})" if (bits := stored_widths(profile.model)) else ""
    return f"{profile.model.name}{widths} on {where} ({evidence(profile)}), with {of}"


def _default_in_words(given: object, default: str) -> str:
    return "" if given is not None else f" ({default})"


def _padding_in_words(workload: Workload, profile: Profile) -> str:
    padding = padding_in_words((adapter.rank for adapter in workload.adapters), profile.vllm_version)
    return f"padded by vLLM {profile.vllm_version}: {padding}" if padding else ""


def evidence(profile: Profile) -> str:
    """Say in a few words whether the profile was compared with real runs."""
    if profile.measured is None and profile.evidence is None:
        return "not compared with real runs"
    grade = profile.grade
    if grade == NOT_CLAIMED and not profile.is_derived:
        return f"changed since it was {'derived' if profile.measured is None else 'measured'}"
    return "measured" if grade == MEASURED else _derived_in_words(grade)


def _derived_in_words(grade: EvidenceGrade) -> str:
    words = {BASE_CHECKED: BASE_CHECKED, CORRECTED: CORRECTED, DATA_SHEET: "derived from its data sheet only"}
    return words.get(grade, f"derived, {grade}")


def _lengths_in_words(workload: Workload) -> str:
    own = [adapter.lengths for adapter in workload.adapters if adapter.lengths is not None]
    means = mean_lengths(workload)
    figures = f"{means.prompt:,.0f} in, {means.answer:,.0f} out"
    if own and len(own) == len(workload.adapters):
        kinds = sorted({lengths.kind for lengths in own})
        return f"lengths as given for each adapter ({', '.join(kinds)}; {figures})"
    common = workload.lengths
    kind = "ShareGPT" if common.kind == "sharegpt" else common.kind
    some = f" for {len(workload.adapters) - len(own):,} of {len(workload.adapters):,} adapters" if own else ""
    return f"lengths {kind}{some} ({'assumed; ' if common.assumed else ''}{figures})"


def _traffic_in_words(workload: Workload) -> str:
    return f"arrivals {arrivals_in_words(workload)} over {_seconds_in_words(workload.duration)}"


def _seconds_in_words(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds >= 10 else f"{seconds:g} s"
