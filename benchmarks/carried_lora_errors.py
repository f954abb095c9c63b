"""Errors of derived profiles on the LoRA runs of the H100 with 64 GB, with the LoRA constants of another model.

Each of the two models gets a profile from the data sheet of the GPU and from its shapes, and the LoRA constants of the
other model alone.
"""

from typing import NamedTuple

import polars as pl

from adaptwin import Profile
from adaptwin.calibration.compare import compare
from adaptwin.profile.derive import MEASURED_GPU, derived, measured_profiles
from adaptwin.profile.hardware.gpu import load_gpu
from adaptwin.profile.hardware.model_sheet import ModelSheet
from base_model_errors import largest, mean_and_bias, signed_errors
from h100_runs import MODELS, measured_runs
from measured_page import paragraph, section

DERIVED, OWN_HOST, OWN_BASE = "as derived", "host of this machine", "base model as measured"
BASE_CONSTANTS = (
    "host_base",
    "gpu_base",
    "weights",
    "balance_tokens",
    "per_token",
    "per_pair",
    "per_context_token",
    "per_sequence",
    "eager",
)
BANDS_OF_SLOTS = ((1, 16), (17, 64), (65, 384))

CARRIED = f"""All validation runs of the public H100 data set (H100 with 64 GB, vLLM 0.8.5; no profile was fitted to
them), simulated with profiles that are derived for this GPU with the LoRA constants of the *other* model. "{DERIVED}"
is what a machine that nobody measured would get. "{OWN_HOST}" takes the host's time of a step from the profile of the
other model: what one idle run on the machine tells. "{OWN_BASE}" takes all constants of steps without LoRA from the
model's own profile, so only LoRA is carried. TTFT is the median error of the median TTFT outside deep overload."""

QWEN = """Qwen2.5-7B is further off because its sampler takes 18 microseconds for each request of a step, where that of
Llama-3.1-8B takes 6.5 and the derived profile has 6.7. Its generation_config.json sets a repetition penalty, which vLLM
takes as a default and which passes over the logits of every request; that this is the reason was not measured."""


class OtherModel(NamedTuple):
    """A measured model: its own profile, and the one that is derived with the LoRA constants of the other model."""

    own: Profile
    other: Profile
    derived: Profile

    @property
    def variants(self) -> dict[str, Profile]:
        """Profiles from the least to the most known, by what is known."""
        host = {"host_base": self.other.step_cost.host_base}
        base = {name: getattr(self.own.step_cost, name) for name in BASE_CONSTANTS}
        return {
            DERIVED: self.derived,
            OWN_HOST: _with_steps(self.derived, host),
            OWN_BASE: _with_steps(self.derived, base),
        }


def other_models() -> dict[str, OtherModel]:
    """Return both measured models by their names in the table of runs."""
    measured = {each.profile.name: each for each in measured_profiles()}
    found = {}
    for model, name in MODELS.items():
        [other] = [each for key, each in measured.items() if key != name]
        own = measured[name].profile
        carried = derived(load_gpu(MEASURED_GPU), ModelSheet(own.model), [other], own.vllm_version)
        found[model] = OtherModel(own, other.profile, carried)
    return found


def _with_steps(profile: Profile, constants: dict[str, float]) -> Profile:
    return profile.model_copy(update={"step_cost": profile.step_cost.model_copy(update=constants)})


def carried_lora() -> pl.DataFrame:
    """Simulate the validation runs with all variants; the rows of `compare`, with the model and the variant."""
    parts = []
    for model, profiles in other_models().items():
        runs = measured_runs(model, "validation")
        for name, profile in profiles.variants.items():
            rows = compare(profile, runs)
            parts.append(rows.with_columns(gpu=pl.lit(MEASURED_GPU), model=pl.lit(model), variant=pl.lit(name)))
    return pl.concat(parts)


def carried_lora_section(rows: pl.DataFrame, short: dict[str, str]) -> str:
    """Return the section: errors by model and variant, and by slots."""
    return f"{_by_variant(rows, short)}\n\n{_by_slots(rows, short)}\n\n{paragraph(QWEN)}"


def _by_variant(rows: pl.DataFrame, short: dict[str, str]) -> str:
    body = []
    for (model, variant), part in rows.group_by("model", "variant", maintain_order=True):
        starved, served = part.filter(pl.col("real_starved")), part.filter(~pl.col("deep_overload"))
        right = 100 * (part["twin_starved"] == part["real_starved"]).mean()
        body.append(
            [
                short[str(model)],
                str(variant),
                str(len(part)),
                mean_and_bias(signed_errors(part, "throughput")),
                mean_and_bias(signed_errors(starved, "throughput")),
                mean_and_bias(signed_errors(part, "itl_mean")),
                f"{signed_errors(served, 'ttft_p50').abs().median():.1f}",
                f"{right:.1f}",
                largest(signed_errors(part, "throughput")),
                largest(signed_errors(part, "itl_mean")),
            ]
        )
    header = ["model", "profile", "runs", "throughput", "throughput, starved", "mean ITL", "median TTFT"]
    header += ["starvation correct", "largest, throughput", "largest, mean ITL"]
    return section("With LoRA, another model", header, body, paragraph(CARRIED))


def _by_slots(rows: pl.DataFrame, short: dict[str, str]) -> str:
    body = []
    for (model, variant), part in rows.group_by("model", "variant", maintain_order=True):
        cells = []
        for low, high in BANDS_OF_SLOTS:
            band = part.filter(pl.col("max_loras").is_between(low, high))
            cells += [str(len(band)), *(mean_and_bias(signed_errors(band, f)) for f in ("throughput", "itl_mean"))]
        body.append([short[str(model)], str(variant), *cells])
    names = [f"{low}-{high} slots: {what}" for low, high in BANDS_OF_SLOTS for what in ("runs", "throughput", "ITL")]
    return section("With LoRA, by slots", ["model", "profile", *names], body, "The same runs by `max_loras`.")
