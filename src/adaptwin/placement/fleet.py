"""Fleet: a workload together with where and how it is to be planned - what a fleet file holds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from adaptwin.errors import SpecError
from adaptwin.placement.objectives.objective import Latency
from adaptwin.plan.constraints import Constraints
from adaptwin.profile.profile import Profile, is_profile_file, load_profile
from adaptwin.spec import Spec
from adaptwin.twin.server import Server
from adaptwin.workload.sources.adapters_csv import read_adapters_csv
from adaptwin.workload.workload import Workload

ObjectiveName = Literal["min-gpus", "slo", "min-cost", "min-latency", "max-throughput"]
StrategyName = Literal[
    "pack", "paper_greedy", "dlora", "loraserve", "max_base", "least_loaded", "round_robin", "random"
]
Price = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Planning(Spec):
    """How to plan: the keywords of `make_plan`, and what the profiles' GPUs cost."""

    objective: ObjectiveName = "min-gpus"
    strategy: StrategyName = "pack"
    headroom: float = Field(
        default=0.0, ge=0, le=10, description="share of traffic that every GPU must be able to take more"
    )
    margin: Annotated[float, Field(ge=0, le=10)] | Literal["profile"] = Field(
        default=0.0,
        description="safety margin on the twin's predictions, as a share; or as uncertain as the profile is",
    )
    gpus: int | None = Field(default=None, ge=1, description="their number, for min-latency and max-throughput")
    ttft_p99: float | None = Field(default=None, gt=0, description="seconds; 99th percentile of every server")
    itl_p99: float | None = Field(default=None, gt=0, description="seconds; 99th percentile of every server")
    latency: Latency = Field(default="itl", description="what min-latency brings down")
    constraints: Constraints = Constraints()
    prices: dict[str, Price] = Field(default_factory=dict, description="per hour, by profile; any currency")
    spare: int = Field(default=0, ge=0, description="GPUs of which any so many may fail without anybody starving")
    time_limit: float | None = Field(default=None, gt=0, description="seconds of search")


class Fleet(Workload):
    """A workload that may name its profiles, planning options and settings common to all servers."""

    profile: tuple[str, ...] = ()
    planning: Planning = Planning()
    server: Server = Server()

    @field_validator("profile", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    def file_form(self) -> dict[str, Any]:
        """The plain data that its file holds; profiles, planning and server only where they say something."""
        fields = super().file_form()
        for name in ("planning", "server"):
            fields[name] = getattr(self, name).model_dump(mode="json", exclude_defaults=True)
        return {name: value for name, value in fields.items() if value or name not in ("profile", "planning", "server")}

    @property
    def workload(self) -> Workload:
        """The workload alone."""
        return Workload.model_construct(**{name: getattr(self, name) for name in Workload.model_fields})


def read_fleet(path: str | Path) -> Fleet:
    """Read a fleet from YAML, or its adapters from CSV; raises `SpecError` naming file, field and value."""
    is_csv = Path(path).suffix.lower() == ".csv"
    fleet = Fleet(adapters=read_adapters_csv(path)) if is_csv else Fleet.read(path)
    if not fleet.adapters:
        raise SpecError("lists no adapter", "adapters", path)
    return fleet


def fleet_profiles(fleet: Fleet, path: str | Path, override: list[str] | None = None) -> list[Profile]:
    """The profiles to plan for: `override`, or those the fleet names; raises `SpecError` when there are none."""
    names = override or list(fleet.profile)
    if not names:
        raise SpecError("missing: name one in the file or with --profile (see 'adaptwin profiles')", "profile", path)
    try:
        return [load_profile(name if override else _beside(path, name)) for name in names]
    except SpecError as error:
        raise (error if override or error.file else error.at(path)) from None


def priced(profiles: Sequence[Profile], prices: Mapping[str, float]) -> list[Profile]:
    """The profiles with these prices per hour instead of their own; raises `SpecError` for one that is not there."""
    names = [profile.name for profile in profiles]
    for name in prices:
        if name not in names:
            raise SpecError(f"{name!r} is not among the profiles: {', '.join(names)}", "planning.prices")
    return [
        profile.model_copy(update={"price_per_hour": prices.get(profile.name, profile.price_per_hour)})
        for profile in profiles
    ]


def _beside(path: str | Path, name: str) -> str:
    """A profile file is looked for beside the fleet that names it; a shipped profile is just a name."""
    file = Path(path).parent / name
    return str(file) if is_profile_file(name) else name
