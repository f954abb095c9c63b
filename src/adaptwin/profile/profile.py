"""Profile: what one kind of server costs - hardware, base model and vLLM version together."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from adaptwin import file_kinds
from adaptwin.errors import SpecError, neither_file_nor
from adaptwin.profile.load_cost import LoadCost
from adaptwin.profile.memory import GIB, MemoryModel
from adaptwin.profile.model_shape import ModelShape
from adaptwin.profile.scheduler_cost import SchedulerCost
from adaptwin.profile.scrape_cost import ScrapeCost
from adaptwin.profile.step_cost import StepCost
from adaptwin.shipped_files import shipped_files
from adaptwin.spec import Spec

# Nobody waits; requests wait, yet all are served; under 0.9 of the tokens are.
Regime = Literal["calm", "busy", "starved"]


class ProfileError(Spec):
    """How far the profile's twin is from real runs it was not fitted to: mean absolute percentage errors."""

    runs: int = Field(ge=0, description="real runs compared")
    throughput: float = Field(ge=0, description="percent, over all runs")
    itl: float | None = Field(default=None, ge=0, description="percent, mean inter-token latency; None: not measured")
    ttft: float | None = Field(default=None, ge=0, description="percent, median over runs outside deep overload")
    starvation: float = Field(ge=0, le=100, description="percent of runs whose starvation label is right")


class Spread(Spec):
    """How far real runs were from the twin in one regime: root mean squares of the logarithm of real over twin.

    From real runs that the fit which predicted them had not seen (cross-validation over configurations).
    """

    regime: Regime
    runs: int = Field(ge=0)
    throughput: float = Field(ge=0)
    itl: float | None = Field(default=None, ge=0, description="mean inter-token latency")
    ttft: float | None = Field(default=None, ge=0, description="median time to first token")


class Profile(Spec):
    """Memory, step, load and scheduler cost of one GPU (or tensor-parallel group) with one base model."""

    file_kind = file_kinds.PROFILE
    name: str
    hardware: str
    model: ModelShape
    vllm_version: str
    source: str = Field(description="the measurements behind the constants")
    error: ProfileError | None = Field(default=None, description="None for a profile that nobody has checked")
    spread: tuple[Spread, ...] = Field(default=(), description="of real runs around the twin, by regime")
    price_per_hour: float | None = Field(default=None, gt=0, description="of the whole group; any currency")
    request_latency: float = Field(ge=0, description="seconds that API server, tokenizer and client add to a request")
    memory: MemoryModel
    step_cost: StepCost
    load_cost: LoadCost
    scheduler_cost: SchedulerCost
    scrape_cost: ScrapeCost = ScrapeCost()

    def spread_in(self, regime: Regime) -> Spread | None:
        """The spread in a regime, None where no run was in it."""
        return next((spread for spread in self.spread if spread.regime == regime), None)

    @property
    def gpu_gib(self) -> float:
        """GPU memory in GiB, by which vLLM chooses its default budgets."""
        return self.memory.gpu_bytes / GIB


def shipped_profiles() -> list[str]:
    """Names of the profiles that come with adaptwin."""
    return list(_shipped_profile_files())


def load_profile(name_or_path: str | Path) -> Profile:
    """A shipped profile by name, or one from a YAML file; raises `SpecError` when there is neither."""
    shipped = _shipped_profile_files()
    if str(name_or_path) in shipped:
        return Profile.read(shipped[str(name_or_path)])
    if is_profile_file(name_or_path) or Path(name_or_path).is_file():
        return Profile.read(name_or_path)
    raise SpecError(neither_file_nor(name_or_path, shipped), "profile")


def is_profile_file(name_or_path: str | Path) -> bool:
    """Whether this looks like a file, not like the name of a shipped profile."""
    return Path(name_or_path).suffix in (".yaml", ".yml", ".json")


def _shipped_profile_files() -> dict[str, Path]:
    return shipped_files("adaptwin.profile", ".yaml")
