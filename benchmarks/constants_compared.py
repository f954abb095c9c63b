"""The constants of the measured profiles beside those that are derived for the same GPU and model."""

from collections.abc import Iterator

from adaptwin import Profile
from carried_lora_errors import other_models
from measured_page import paragraph, section

NEAR = 1.3  # factor up to which constants count as near
SECTIONS = ("step_cost", "load_cost", "memory", "scheduler_cost", "scrape_cost")

REASONS = {
    "request_latency": "API server and client of other machines",
    "step_cost.host_base": "this host is slower than those of the public runs",
    "step_cost.gpu_base": "the derived one has the calls of attention; the measured ones have them in the host's time",
    "step_cost.per_token": "activations at 0.6 of the bandwidth; at 1.0 in the measured ones, where it is stated",
    "step_cost.per_sequence": "the sampler of Qwen2.5 is slower here",
    "step_cost.eager": "derived as 0: the tables of kernels have nothing of it",
    "step_cost.lora_launch": "not determined by the measurements",
    "step_cost.adapter_byte": "not determined by the measurements",
    "step_cost.shrink_block": "not determined by the measurements of Llama",
    "step_cost.active_block": "not determined by the measurements of Llama",
    "step_cost.per_listed_adapter": "determined roughly: both models should have the same",
    "load_cost.gpu_base": "by their matrices, the models should differ by 14 %, not by a factor of 2",
    "load_cost.gpu_per_rank": "derived: bytes of the rank over PCIe; measured: loads grow with the padding instead",
    "load_cost.gpu_per_padding": "derived: bytes of the rank over PCIe; measured: loads grow with the padding instead",
    "load_cost.disk_base": "the storage of these servers, on which the two models differ eightfold",
    "load_cost.disk_per_rank": "the storage of these servers, on which the two models differ fivefold",
    "memory.slot_bytes": "as much as one further rank; the shapes have none",
}

COMPARED = f"""Every constant of the two measured profiles, and what is derived for their GPU and model with the LoRA
constants of the other model. A ratio is derived over measured. The last column says why, where it is off by more than
{100 * (NEAR - 1):.0f} %. The constants of steps without LoRA that follow from peak figures were not fitted to the
measurements, which do not tell them from the host's time, but stated; so their ratios compare two derivations."""

SETTINGS = ("max_num_seqs", "max_num_batched_tokens")  # with which memory was measured


def constants_section(short: dict[str, str]) -> str:
    """Return the section with a row per constant."""
    models = other_models()
    columns = [(dict(constants_of(each.own)), dict(constants_of(each.derived))) for each in models.values()]
    body = []
    for name in columns[0][0]:
        cells, off = [], False
        for own, derived in columns:
            ratio = derived[name] / own[name] if own[name] else None
            off |= derived[name] != own[name] and (ratio is None or not 1 / NEAR <= ratio <= NEAR)
            cells += [f"{own[name]:.3g}", f"{derived[name]:.3g}", f"{ratio:.2f}" if ratio is not None else "-"]
        if any(own[name] or derived[name] for own, derived in columns):
            body.append([f"`{name}`", *cells, REASONS.get(name, "not explained") if off else ""])
    names = [short[model] for model in models]
    header = ["constant", *(f"{name}: {what}" for name in names for what in ("measured", "derived", "ratio")), "why"]
    return section("Measured and derived constants", header, body, paragraph(COMPARED))


def constants_of(profile: Profile) -> Iterator[tuple[str, float]]:
    """Yield all constants of a profile by name, but for flags and settings."""
    for part in SECTIONS:
        for name, value in getattr(profile, part):
            if not isinstance(value, bool) and name not in SETTINGS:
                yield f"{part}.{name}", float(value)
    yield "request_latency", profile.request_latency
