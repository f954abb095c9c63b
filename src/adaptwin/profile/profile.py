"""Profile: what one type of server costs, for given hardware, base model and vLLM version."""

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from adaptwin import file_kinds
from adaptwin.errors import SpecError, neither_file_nor, require_type
from adaptwin.lazy import function_from
from adaptwin.profile.evidence import MEASURED, NOT_CLAIMED, ROUGH, Evidence, EvidenceGrade
from adaptwin.profile.load_cost import LoadCost
from adaptwin.profile.measured import MeasuredRange, RunRange, fingerprint
from adaptwin.profile.memory import GIB, MemoryModel
from adaptwin.profile.model_shape import ModelShape
from adaptwin.profile.scheduler_cost import SchedulerCost
from adaptwin.profile.scrape_cost import ScrapeCost
from adaptwin.profile.seconds import Seconds
from adaptwin.profile.step_cost import StepCost
from adaptwin.shipped_files import shipped_files
from adaptwin.spec import Line, Name, Spec

UNKNOWN_ERROR = 0.05  # of the throughput, of a profile that was not compared with real runs

# calm: no request waits; busy: requests wait and are served; starved: under 0.9 of the tokens are served.
Regime = Literal["calm", "busy", "starved"]

MOST_PRICE = 1e9  # per hour, in any currency
MOST_GPUS_OF_SERVER = 64  # of a tensor-parallel group, over several machines


class ProfileError(Spec):
    """Mean absolute percentage errors of the profile's twin against real runs that it was not fitted to."""

    runs: int = Field(ge=0, description="real runs compared")
    throughput: float = Field(ge=0, allow_inf_nan=False, description="error of the throughput in per cent, all runs")
    itl: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="error of the mean inter-token latency in per cent; None: not measured",
    )
    ttft: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="error of the median time to first token in per cent, median over runs outside deep overload",
    )
    starvation: float = Field(
        ge=0, le=100, allow_inf_nan=False, description="share of runs with the right starvation label, in per cent"
    )


class Spread(Spec):
    """Deviation of real runs from the twin in one regime: root mean square of the logarithm of real over twin.

    Each real run is compared with a twin that was fitted to other runs (cross-validation over configurations).
    """

    regime: Regime = Field(description="regime that the twin assigns the runs to")
    runs: int = Field(ge=0, description="real runs compared")
    throughput: float = Field(ge=0, allow_inf_nan=False, description="spread of the throughput")
    itl: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="spread of the mean inter-token latency"
    )
    ttft: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="spread of the median time to first token"
    )


class Profile(Spec):
    """Memory, step, load, scheduler and scrape cost of one GPU (or tensor-parallel group) with one base model."""

    file_kind = file_kinds.PROFILE
    _facts = function_from("adaptwin.report.notebook.profile_view", "profile_facts")
    _repr_html_ = function_from("adaptwin.report.notebook.profile_view", "profile_html")
    name: Name = Field(description="name of the profile")
    hardware: Line = Field(description="GPU, in words, without the size of a group")
    model: ModelShape = Field(description="shapes of the base model")
    vllm_version: Line = Field(description="version of vLLM that was measured")
    tensor_parallel_size: int = Field(
        default=1, ge=1, le=MOST_GPUS_OF_SERVER, description="GPUs of a server, which share every layer of the model"
    )
    quantization: Line | None = Field(
        default=None,
        description="argument of --quantization, if vLLM quantises the weights while it loads them; None: they are "
        "served as they are stored",
    )
    kv_cache_dtype: Line = Field(default="auto", description="argument of --kv-cache-dtype")
    source: str = Field(description="measurements that the constants come from")
    error: ProfileError | None = Field(
        default=None,
        description="accuracy against real runs, of a derived profile that of others like it; None: not checked",
    )
    spread: tuple[Spread, ...] = Field(default=(), description="deviation of real runs from the twin, by regime")
    measured: MeasuredRange | None = Field(
        default=None, description="settings and traffic of the real runs; None: not compared with real runs"
    )
    evidence: Evidence | None = Field(
        default=None, description="what the constants rest on, of a derived profile; None: not derived"
    )
    undetermined: tuple[str, ...] = Field(
        default=(),
        description="constants that the measurements did not determine, such as step_cost.lora_byte: those of another "
        "profile or from the shapes of the model, or fitted only together with others",
    )
    price_per_hour: float | None = Field(
        default=None,
        gt=0,
        le=MOST_PRICE,
        allow_inf_nan=False,
        description="price of one GPU per hour, in any currency; a group costs that for each of its GPUs",
    )
    request_latency: Seconds = Field(description="seconds that API server, tokenizer and client add to a request")
    memory: MemoryModel = Field(description="use of the GPU's memory")
    step_cost: StepCost = Field(description="time of a forward pass")
    load_cost: LoadCost = Field(description="time to load an adapter")
    scheduler_cost: SchedulerCost = Field(description="time to plan a step")
    scrape_cost: ScrapeCost = Field(default=ScrapeCost(), description="time for which a scrape of the metrics blocks")

    def spread_in(self, regime: Regime) -> Spread | None:
        """Return the spread in a regime; None when no real run was in it."""
        return next((spread for spread in self.spread if spread.regime == regime), None)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of what simulated figures depend on: hardware, version of vLLM, model and all costs."""
        no_matter = ("name", "source", "price_per_hour", "error", "spread", "measured", "evidence", "undetermined")
        settings = {"max_num_seqs", "max_num_batched_tokens"}  # which a server always gives
        exclude: dict[str, Any] = {**dict.fromkeys(no_matter, True), "memory": settings}
        return fingerprint(self.model_dump(mode="json", exclude=exclude, exclude_defaults=True))

    @property
    def is_measured(self) -> bool:
        """Whether error and spread say something about the profile: its constants were compared with real runs."""
        return self.measured is not None and self.measured.constants == self.fingerprint

    @property
    def is_derived(self) -> bool:
        """Whether error and spread are those of derived profiles, and the constants are as they were derived."""
        return self.evidence is not None and self.evidence.constants == self.fingerprint

    @property
    def claimed(self) -> RunRange | None:
        """Settings and traffic for which error and spread are claimed; None: for none."""
        if self.is_measured:
            return self.measured
        if self.evidence is None or not self.is_derived or self.evidence.grade in (NOT_CLAIMED, ROUGH):
            return None
        return self.evidence.checked

    @property
    def grade(self) -> EvidenceGrade:
        """How far the profile may be trusted."""
        if self.is_measured:
            return MEASURED
        return self.evidence.grade if self.evidence and self.is_derived else NOT_CLAIMED

    @property
    def gpu_gib(self) -> float:
        """GPU memory in GiB, from which vLLM chooses its default budgets of tokens and requests."""
        return self.memory.gpu_bytes / GIB

    @property
    def allows_merged(self) -> bool:
        """Whether an adapter's weights can be merged into those of the model: not where these are quantised."""
        widths = self.model.bytes_per_weight, self.model.bytes_per_expert_weight
        return self.quantization is None and min(widths) >= self.model.bytes_per_value

    @property
    def server_price(self) -> float | None:
        """Price per hour of a server, for all of its GPUs; None if it is unknown."""
        return None if self.price_per_hour is None else self.tensor_parallel_size * self.price_per_hour

    @property
    def server_hardware(self) -> str:
        """The GPUs of a server, in words: the name of the GPU, after ``2 ×`` for a group of two."""
        group = f"{self.tensor_parallel_size} × " if self.tensor_parallel_size > 1 else ""
        return f"{group}{self.hardware}"

    @property
    def twin_error(self) -> float:
        """Mean error of the twin's throughput, as a share; `UNKNOWN_ERROR` where it is not known."""
        return self.error.throughput / 100.0 if self.error and self.claimed else UNKNOWN_ERROR


def shipped_profiles() -> list[str]:
    """Return the names of the profiles that come with adaptwin."""
    return list(_shipped_profile_files())


def load_profile(name_or_path: str | Path) -> Profile:
    """Load a shipped profile by name, or a profile from a file; raises `SpecError` when there is neither."""
    shipped = _shipped_profile_files()
    if str(name_or_path) in shipped:
        return Profile.read(shipped[str(name_or_path)])
    if is_profile_file(name_or_path) or os.path.isfile(name_or_path):
        return Profile.read(name_or_path)
    raise SpecError(neither_file_nor(name_or_path, shipped), "profile")


def as_profile(profile: Profile | str | Path, argument: str = "profile") -> Profile:
    """Return a profile as it is, or load it by name or path as `load_profile` does.

    Args:
        profile: The profile, the name of a shipped one, or the path of its file.
        argument: Name of the argument, for the error if it is something else.
    """
    if isinstance(profile, str | Path):
        return load_profile(profile)
    require_type(profile, Profile, argument)
    return profile


def is_profile_file(name_or_path: str | Path) -> bool:
    """Return whether this is the name of a YAML or JSON file rather than that of a shipped profile."""
    return Path(name_or_path).suffix in (".yaml", ".yml", ".json")


def _shipped_profile_files() -> dict[str, Path]:
    return shipped_files("adaptwin.profile", ".yaml")
