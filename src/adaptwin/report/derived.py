"""A derived profile for the terminal: how far to trust it, its KV cache, and where every constant comes from."""

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType

from adaptwin.profile.evidence import BASE_CHECKED, CORRECTED, DATA_SHEET, NOT_CLAIMED, ROUGH, Evidence, EvidenceGrade
from adaptwin.profile.memory import GIB
from adaptwin.profile.profile import Profile
from adaptwin.profile.stored_widths import stored_widths
from adaptwin.report.kv_cache import usual_kv_tokens
from adaptwin.report.profile_error import error_in_words
from adaptwin.report.style.tables import heading
from adaptwin.report.style.terminal import Text
from adaptwin.report.style.words import money, number

SHOWN_SLOTS, SHOWN_RANK = 8, 16
_NAME_WIDTH, _VALUE_WIDTH = 36, 12  # columns; the longest name is memory.activation_bytes_per_token

GRADES: dict[EvidenceGrade, str] = {
    CORRECTED: "Runs of this server corrected constants of its base model; those of LoRA are derived.",
    BASE_CHECKED: "Derived profiles were compared with real servers that have this GPU.",
    DATA_SHEET: "No derived profile was compared with a real server that has this GPU.",
    ROUGH: "The model has experts, and no server with such a model was compared: expect errors of 30 % and more.",
    NOT_CLAIMED: "The laws do not describe this model or this version of vLLM: no accuracy is claimed.",
}
_SMALL_UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9), ("ps", 1e-12))
_BYTE_UNITS = (("GiB", float(GIB)), ("MiB", 1024.0**2), ("KiB", 1024.0), ("bytes", 1.0))
_SETTINGS = ("max_num_seqs", "max_num_batched_tokens")  # of memory, which are no constants
_OF_EXPERTS = "step_cost.expert_share"
_COUNTED = tuple(
    f"step_cost.{name}" for name in ("balance_tokens", "expert_balance_tokens", "graph_tokens", "split_tokens")
)


def derived_report(profile: Profile, alike: list[str], typical_price: float | None) -> RenderableType:
    """Show a derived profile.

    Args:
        profile: The profile, as it was derived.
        alike: Names of measured profiles of the same GPU and model.
        typical_price: Price of the GPU on its data sheet, in US dollars per hour; None if it has none.
    """
    evidence = profile.evidence
    assert evidence is not None
    measured_as = f"This GPU and model were measured: better use --profile {' or '.join(alike)}." if alike else ""
    sentences = [
        (f"{profile.name}: {profile.model.name} on {profile.server_hardware}, vLLM {profile.vllm_version}", "bold"),
        (_widths_in_words(profile), ""),
        (f"Grade: {profile.grade}. {GRADES[profile.grade]}", ""),
        (measured_as, "yellow"),
        *((f"{note[0].upper()}{note[1:]}.", "yellow") for note in evidence.notes),
        (_not_compared_in_words(evidence), "yellow"),
        (error_in_words(profile) if profile.claimed else "", ""),
        (_kv_cache_in_words(profile), ""),
        (_price_in_words(profile, typical_price), ""),
    ]
    return Group(
        *(Text(sentence, style=style) for sentence, style in sentences if sentence),
        heading("Constants, by where they come from"),
        *_constants(profile),
    )


def _not_compared_in_words(evidence: Evidence) -> str:
    """Say what of the server no real one was compared for; empty if there is nothing."""
    found = (*evidence.unchecked, *evidence.unchecked_with_adapters)
    return f"Not compared with any real server: {'; '.join(found)}." if found else ""


def _widths_in_words(profile: Profile) -> str:
    widths = stored_widths(profile.model)
    return f"Widths, with scales: {widths}; adapters 16 bits." if widths else ""


def _kv_cache_in_words(profile: Profile) -> str:
    alone = usual_kv_tokens(profile)
    with_slots = usual_kv_tokens(profile, max_loras=SHOWN_SLOTS, max_lora_rank=SHOWN_RANK)
    if not alone:
        return "KV cache: no memory is left for it, so vLLM would not start."
    context = profile.model.max_model_len
    short = f" One request of {context:,} tokens does not fit: set max_model_len." if with_slots < context else ""
    return (
        f"KV cache: about {alone:,} tokens without adapters, {with_slots:,} with {SHOWN_SLOTS} slots of rank "
        f"{SHOWN_RANK}.{short}"
    )


def _price_in_words(profile: Profile, typical: float | None) -> str:
    price, gpus = profile.price_per_hour, profile.tensor_parallel_size
    if price is None:
        return (
            f"Price: none; a typical one is {money(typical)} US dollars per GPU and hour."
            if typical
            else "Price: none."
        )
    group = f", {money(gpus * price)} for the {gpus} GPUs of a server" if gpus > 1 else ""
    return f"Price per GPU and hour: {money(price)}{group}."


def _constants(profile: Profile) -> Iterator[Text]:
    """Yield the constants in groups of one origin, each below what is said of it."""
    assert profile.evidence is not None
    groups: dict[str, list[tuple[str, str]]] = {}
    for place, origin in profile.evidence.origins.items():
        groups.setdefault(origin, []).extend(_constants_at(profile, place))
    for origin, values in groups.items():
        yield Text(origin, style="dim")
        for name, value in values:
            yield Text(f"  {name:<{_NAME_WIDTH}}{value:>{_VALUE_WIDTH}}")


def _constants_at(profile: Profile, place: str) -> Iterator[tuple[str, str]]:
    """Yield the constants at a place such as ``memory`` or ``step_cost.weights``, with their values; not zeros."""
    found: Any = profile
    for part in place.split("."):
        found = getattr(found, part)
    if isinstance(found, int | float):
        yield place, constant_in_units(place, found)
        return
    for name in type(found).model_fields:
        value = getattr(found, name)
        if value and not isinstance(value, bool) and name not in _SETTINGS:
            yield f"{place}.{name}", constant_in_units(f"{place}.{name}", value)


def constant_in_units(constant: str, value: float) -> str:
    """Return the value of a constant such as ``memory.graph_bytes`` in a readable unit."""
    if constant == _OF_EXPERTS:
        return f"{100 * value:.3g} %"
    if constant in _COUNTED:
        return f"{number(value)} tokens"
    units = _BYTE_UNITS if constant.startswith("memory.") else _SMALL_UNITS
    unit, size = next((each for each in units if value >= each[1]), units[-1])
    return f"{number(value / size)} {unit}"
