"""Assumptions: what simulated figures stand for, in words - models and GPUs, settings, lengths, arrivals, caching."""

from collections.abc import Iterable, Sequence

from adaptwin.profile.evidence import BASE_CHECKED, CORRECTED, DATA_SHEET, MEASURED, NOT_CLAIMED, EvidenceGrade
from adaptwin.profile.profile import Profile
from adaptwin.profile.stored_widths import stored_widths
from adaptwin.twin.server import Server
from adaptwin.workload.arrival_kinds import arrivals_in_words
from adaptwin.workload.demand.mean_lengths import mean_lengths
from adaptwin.workload.demand.shared_share import NOTHING_ALIKE, alike_in_words
from adaptwin.workload.lora_ranks import padding_in_words
from adaptwin.workload.workload import Workload

VLLM_DEFAULT = "vLLM's default"
CHOSEN_BY_PLAN = "chosen by the plan"
CHOSEN_SETTINGS = ("max_num_seqs", "max_num_batched_tokens")  # that the planner chooses where they are not given
LORA_FLAGS = ("specialize_active_lora", "fully_sharded_loras")
MODEL_DEFAULT = "the model's"
USUAL_UTILIZATION = 0.9  # which is not worth a word


def assumptions(
    workload: Workload, servers: Iterable[tuple[Profile, Server]], given: Server | None = None
) -> tuple[str, ...]:
    """Return what the figures of these servers under this workload assume, one clause each.

    Servers that differ only in what the planner chooses, such as slots, have one clause together.

    Args:
        workload: Adapters and their traffic.
        servers: Profile and settings of each server.
        given: Settings that the planner was given, if it made the servers. Those that it chose are called so.
    """
    servers = list(servers)
    alike: dict[tuple[str, str, tuple[int | None, ...]], list[tuple[Profile, Server]]] = {}
    for profile, server in servers:
        fixed = tuple(None if _is_free(name, given) else getattr(server, name) for name in CHOSEN_SETTINGS)
        alike.setdefault((_model_and_gpu(profile), _other_settings(profile, server, given), fixed), []).append(
            (profile, server)
        )
    ranks = {adapter.rank for adapter in workload.adapters}
    clauses = (
        *(f"{where}, with {_batch_settings(each, given)}, {others}" for (where, others, _), each in alike.items()),
        _merged_in_words([server for _, server in servers]),
        *(_padding_in_words(ranks, profile) for profile in {profile.name: profile for profile, _ in servers}.values()),
    )
    stated = tuple(clause for clause in dict.fromkeys(clauses) if clause)
    return (
        *stated,
        f"lengths {lengths_in_words(workload)}",
        f"arrivals {traffic_in_words(workload)}",
        _prefixes_in_words(workload, servers),
    )


def _prefixes_in_words(workload: Workload, servers: Sequence[tuple[Profile, Server]]) -> str:
    """Return what prompts have in common and, if they have anything, whether servers cache it."""
    if not workload.shares_prefixes:
        return NOTHING_ALIKE
    caching = sum(bool(server.with_defaults(profile).enable_prefix_caching) for profile, server in servers)
    of = "prefix caching" if caching == len(servers) else "prefix caching on some servers"
    return f"{alike_in_words(workload)}, {of if caching else 'no prefix caching'}"


def _is_free(setting: str, given: Server | None) -> bool:
    """Whether the planner chose a setting, or left it at vLLM's default because that is best."""
    return given is not None and getattr(given, setting) is None


def _model_and_gpu(profile: Profile) -> str:
    widths = f" ({bits})" if (bits := stored_widths(profile.model)) else ""
    where = f"{profile.server_hardware}, vLLM {profile.vllm_version}"
    return f"{profile.model.name}{widths} on {where} ({evidence(profile)})"


def _batch_settings(servers: Sequence[tuple[Profile, Server]], given: Server | None) -> str:
    """Return the settings of the batch, which servers that are otherwise alike may have in a range."""
    texts = []
    for name in CHOSEN_SETTINGS:
        values = sorted({getattr(server.with_defaults(profile), name) for profile, server in servers})
        shown = f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"
        if all(getattr(server, name) is None for _, server in servers):
            shown += f" ({VLLM_DEFAULT})"
        elif _is_free(name, given):
            shown += f" ({CHOSEN_BY_PLAN})"
        texts.append(f"{name} {shown}")
    return ", ".join(texts)


def _other_settings(profile: Profile, server: Server, given: Server | None) -> str:
    used = server.with_defaults(profile)
    of = f"max_model_len {used.max_model_len:,}{_default_in_words(server.max_model_len, MODEL_DEFAULT)}"
    if server.max_model_len is not None and _is_free("max_model_len", given):
        of += f" ({CHOSEN_BY_PLAN})"
    if used.gpu_memory_utilization != USUAL_UTILIZATION:
        default = _default_in_words(server.gpu_memory_utilization, VLLM_DEFAULT)
        of += f", gpu_memory_utilization {used.gpu_memory_utilization:g}{default}"
    if used.async_scheduling:
        of += f", async_scheduling true{_default_in_words(server.async_scheduling, VLLM_DEFAULT)}"
    if server.max_num_queued_reqs is not None:
        of += f", max_num_queued_reqs {server.max_num_queued_reqs:,}"
    if server.lora_target_modules:
        of += f", lora_target_modules {' '.join(server.lora_target_modules)}"
    return of + "".join(f", {name} true" for name in LORA_FLAGS if getattr(server, name))


def _merged_in_words(servers: Sequence[Server]) -> str:
    merged = sum(server.merged for server in servers)
    on = f" on {merged:,} of {len(servers):,} servers" if len(servers) > 1 else ""
    return f"the weights of an adapter merged into those of the model{on}" if merged else ""


def _default_in_words(given: object, default: str) -> str:
    return "" if given is not None else f" ({default})"


def _padding_in_words(ranks: Iterable[int], profile: Profile) -> str:
    padding = padding_in_words(ranks, profile.vllm_version)
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


def lengths_in_words(workload: Workload) -> str:
    """Say which lengths the requests of a workload have, whether they are assumed, and their means."""
    own = [adapter.lengths for adapter in workload.adapters if adapter.lengths is not None]
    means = mean_lengths(workload)
    figures = f"{means.prompt:,.0f} in, {means.answer:,.0f} out"
    if own and len(own) == len(workload.adapters):
        kinds = sorted({lengths.kind for lengths in own})
        return f"as given for each adapter ({', '.join(kinds)}; {figures})"
    common = workload.lengths
    kind = "ShareGPT" if common.kind == "sharegpt" else common.kind
    some = f" for {len(workload.adapters) - len(own):,} of {len(workload.adapters):,} adapters" if own else ""
    return f"{kind}{some} ({'assumed; ' if common.assumed else ''}{figures})"


def traffic_in_words(workload: Workload) -> str:
    """Say how the requests of a workload arrive, and for how long."""
    return f"{arrivals_in_words(workload)} over {_seconds_in_words(workload.duration)}"


def _seconds_in_words(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds >= 10 else f"{seconds:g} s"
