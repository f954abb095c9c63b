"""PlanRequest: what a client asks for, and the fleet and the profiles that it means. No client names a file."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from adaptwin.errors import SpecError, not_one_of
from adaptwin.plan.by_base import by_base
from adaptwin.plan.fleet import Fleet, fleet_profiles
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.served_adapters import require_servable
from adaptwin.profile.hardware.gpu import shipped_gpus
from adaptwin.profile.hardware.model_config import shipped_models
from adaptwin.profile.profile import Profile, load_profile, shipped_profiles
from adaptwin.profile.profile_source import DerivedProfile, ProfileSource
from adaptwin.spec import Line, read_mapping
from adaptwin.twin.verdict import require_long_enough
from adaptwin.web.request_spec import RequestSpec
from adaptwin.workload.sources.adapters_csv import read_adapters_csv
from adaptwin.workload.sources.logged_adapters import AdapterRanks, log_window
from adaptwin.workload.sources.request_log.columns import TimeUnit
from adaptwin.workload.sources.request_log.request_log import read_request_log
from adaptwin.workload.workload import Workload

Format = Literal["yaml", "csv", "log"]
MOST_TEXT = 8_000_000  # characters of a fleet
_FILES = {"yaml": "fleet.yaml", "csv": "adapters.csv", "log": "requests.log"}


class PlanRequest(RequestSpec):
    """A fleet, the GPUs to plan for, and the options of the plan."""

    fleet: str = Field(
        min_length=1,
        max_length=MOST_TEXT,
        description="the text of a fleet file (YAML or JSON), of a CSV of adapters, or of a log of requests",
    )
    format: Format = Field(default="yaml", description="form of the fleet: yaml, which JSON is too, csv, or log")
    title: Line | None = Field(default=None, max_length=120, description="name of the plan, such as that of the file")
    rank: int | None = Field(default=None, ge=1, le=512, description="rank of all adapters in a log, which needs it")
    base_model: Line | None = Field(default=None, description="name in a log that stands for the base model")
    time_unit: TimeUnit | None = Field(
        default=None, description="unit of the times in a log: s, ms, us or ns; None: as it can be seen from them"
    )
    profile: Line | None = Field(
        default=None, description="shipped profile to plan for; None: those that the fleet names, or `gpu` and `model`"
    )
    gpu: Line | None = Field(default=None, description="GPU to derive a profile for, with `model`")
    model: Line | None = Field(default=None, description="model that the GPUs of `gpu` serve")
    price_per_hour: float | None = Field(
        default=None, gt=0, le=1e9, allow_inf_nan=False, description="price of one GPU per hour, whatever its profile"
    )
    traffic: float = Field(default=1.0, gt=0, le=100, allow_inf_nan=False, description="factor on all traffic")
    planning: PlanOptions | None = Field(
        default=None, description="options of the plan; what is left out is the fleet's"
    )
    seed: int | None = Field(default=None, ge=0, description="seed of the planner's draws; None: the fleet's")

    @model_validator(mode="after")
    def _log_has_ranks(self) -> Self:
        if self.format == "log" and self.rank is None:
            raise ValueError("rank: missing (a log does not tell the ranks of its adapters)")
        return self

    @model_validator(mode="after")
    def _one_kind_of_gpu(self) -> Self:
        if (self.gpu is None) != (self.model is None):
            raise ValueError("gpu: needs model as well" if self.gpu else "model: needs gpu as well")
        if self.gpu and self.profile:
            raise ValueError("profile: is given together with gpu; name one of them")
        return self


def titled(request: PlanRequest) -> str:
    """Return the name of a plan, with the factor on its traffic if there is one."""
    title = request.title or "adapters"
    return title if request.traffic == 1.0 else f"{title} × {request.traffic:g}"


def about(request: PlanRequest) -> dict[str, Any]:
    """Return what was asked for as plain data, but not the fleet."""
    planning = request.planning
    hardware = f"{request.gpu}, {request.model} (derived)" if request.gpu else request.profile
    if request.profile in shipped_profiles():
        profile = load_profile(request.profile or "")
        hardware = f"{profile.server_hardware}, {profile.model.name}"
    named = ("objective", "headroom", "spare", "ttft_p99", "itl_p99", "gpus", "currency")
    given = planning.model_fields_set if planning else ()
    return {
        "title": titled(request),
        "traffic": request.traffic,
        "hardware": hardware,
        "asked": {name: getattr(planning, name) if name in given else None for name in named},
    }


class AskedPlan(NamedTuple):
    """What a request means: a fleet, its profiles, and options that go before those of the fleet."""

    fleet: Fleet
    profiles: list[Profile]
    overrides: Mapping[str, Any]
    seed: int | None


def asked(request: PlanRequest, most_adapters: int) -> AskedPlan:
    """Return what a request means.

    Raises:
        SpecError: The fleet is wrong, names a file, or has more adapters than are planned here.
    """
    with tempfile.TemporaryDirectory(prefix="adaptwin-") as folder:
        fleet = _fleet(request, Path(folder, _FILES[request.format]))
    if len(fleet) > most_adapters:
        raise SpecError(f"lists {len(fleet):,} adapters; this server plans up to {most_adapters:,}", "adapters")
    require_long_enough(fleet)
    profiles = fleet_profiles(fleet, "fleet", _profile_sources(request))
    for part in by_base(fleet.workload, profiles):
        require_servable(part.workload, part.profiles)
    planning = request.planning
    overrides = {name: getattr(planning, name) for name in planning.model_fields_set} if planning else {}
    if request.price_per_hour is not None:
        overrides["prices"] = {profile.name: request.price_per_hour for profile in profiles}
    return AskedPlan(
        fleet if request.traffic == 1.0 else fleet.scaled(request.traffic), profiles, overrides, request.seed
    )


def _fleet(request: PlanRequest, place: Path) -> Fleet:
    """Return the fleet of a request, whose text is at this place while it is read."""
    place.write_text(request.fleet, encoding="utf-8")
    try:
        if request.format == "csv":
            return Fleet(adapters=read_adapters_csv(place))
        if request.format == "log":
            return _fleet_of_log(request, place)
        _require_no_files(read_mapping(place))
        fleet = Fleet.read(place)
    except SpecError as error:
        raise SpecError(error.message, error.field, "fleet") from None
    if not fleet.adapters:
        raise SpecError("lists no adapter", "adapters", "fleet")
    return fleet


def _fleet_of_log(request: PlanRequest, place: Path) -> Fleet:
    """Return the fleet of the busiest hour of a log."""
    bases = (request.base_model,) if request.base_model else ()
    log = read_request_log([place], time_unit=request.time_unit)
    window = log_window(log, AdapterRanks(rank=request.rank, base_models=bases))
    workload = window.workload()
    return Fleet(**{name: getattr(workload, name) for name in Workload.model_fields})


def _require_no_files(fields: Mapping[str, Any]) -> None:
    """Raise `SpecError` where a fleet names a file: those of clients are not here, and ours are not for them."""
    if fields.get("rates_over_time") is not None:
        raise SpecError("names a file, which a fleet that is sent here cannot", "rates_over_time")
    adapters = fields.get("adapters")
    rows = adapters if isinstance(adapters, list | tuple) else ()
    places = [("arrivals", fields), *((f"adapters[{i}].arrivals", each) for i, each in enumerate(rows))]
    for field, holder in places:
        arrivals = holder.get("arrivals") if isinstance(holder, Mapping) else None
        if isinstance(arrivals, str) and arrivals.strip().startswith("rates:"):
            raise SpecError("names a file, which a fleet that is sent here cannot", field)
    profiles = fields.get("profile")
    for each in profiles if isinstance(profiles, list | tuple) else [profiles]:
        if isinstance(each, str):
            _require_one_of(each, shipped_profiles(), "profile")
        elif isinstance(each, Mapping) and isinstance(each.get("model"), str):
            _require_one_of(each["model"], shipped_models(), "profile.model")


def _require_one_of(name: str, names: list[str], field: str) -> None:
    if name not in names:
        raise SpecError(not_one_of(name, names), field)


def _profile_sources(request: PlanRequest) -> list[ProfileSource] | None:
    if request.profile is not None:
        _require_one_of(request.profile, shipped_profiles(), "profile")
        return [request.profile]
    if request.gpu is None or request.model is None:
        return None
    _require_one_of(request.gpu, shipped_gpus(), "gpu")
    _require_one_of(request.model, shipped_models(), "model")
    return [DerivedProfile(gpu=request.gpu, model=request.model)]
