"""Fleet: a workload together with the profiles, planning options and server settings of a fleet file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from adaptwin.errors import SpecError
from adaptwin.file_kinds import ADAPTERS_CSV, FLEET, WrongKind
from adaptwin.plan.options import PlanOptions
from adaptwin.profile.profile import Profile
from adaptwin.profile.profile_source import DerivedProfile, ProfileSource, profile_from
from adaptwin.spec import IN_FILE, Line
from adaptwin.twin.server import Server
from adaptwin.workload.sources.adapters_csv import read_adapters_csv
from adaptwin.workload.workload import Workload


class Fleet(Workload):
    """A workload that may name its profiles, planning options and the settings that all servers share."""

    profile: tuple[ProfileSource, ...] = Field(
        default=(),
        fail_fast=True,
        description="profiles to plan for: names of shipped ones, files relative to the fleet file, or a GPU and a "
        "model to derive one from; a single one needs no list",
    )
    planning: PlanOptions = Field(default=PlanOptions(), description="options of a plan")
    server: Server = Field(default=Server(), description="vLLM settings that all servers share")
    rates_over_time: Line | None = Field(
        default=None,
        description="CSV file, relative to the fleet file, with the rate of each adapter in each period, such as the "
        "hours of a day; see `--rates-over-time`; None: rates do not change",
    )

    @field_validator("rates_over_time")
    @classmethod
    def _from_anywhere(cls, value: str | None, info: ValidationInfo) -> str | None:
        """Return the path of the rates as one that means the same anywhere."""
        return str(Path(info.context["folder"], value).resolve()) if value and info.context else value

    @field_validator("profile", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | dict | DerivedProfile) else value

    @field_validator("planning", "server", mode="before")
    @classmethod
    def _empty_is_none_given(cls, value: Any) -> Any:
        return {} if value is None else value

    def file_form(self) -> dict[str, Any]:
        """Return the plain data of the fleet file; empty profile, planning and server sections are left out."""
        fields = super().file_form()
        for name in ("planning", "server"):
            fields[name] = getattr(self, name).model_dump(mode="json", exclude_defaults=True, context=IN_FILE)
        return {name: value for name, value in fields.items() if value or name not in ("profile", "planning", "server")}

    @property
    def workload(self) -> Workload:
        """The workload alone."""
        return Workload.model_construct(**{name: getattr(self, name) for name in Workload.model_fields})


def read_fleet(path: str | Path) -> Fleet:
    """Read a fleet from YAML, or its adapters from CSV; raises `SpecError` naming file, field and value."""
    readers = {FLEET: Fleet.read, ADAPTERS_CSV: _fleet_of_csv}
    try:
        fleet = readers[ADAPTERS_CSV if Path(path).suffix.lower() in (".csv", ".tsv") else FLEET](path)
    except WrongKind as error:  # the other of the two, under a name with another suffix
        if error.kind not in readers:
            raise
        fleet = readers[error.kind](path)
    if not fleet.adapters:
        raise SpecError("lists no adapter", "adapters", path)
    return fleet


def _fleet_of_csv(path: str | Path) -> Fleet:
    return Fleet(adapters=read_adapters_csv(path))


def fleet_profiles(fleet: Fleet, path: str | Path, override: Sequence[ProfileSource] | None = None) -> list[Profile]:
    """Load the profiles in `override`, or else those that the fleet names; raises `SpecError` when there are none."""
    if override:
        return [profile_from(source) for source in dict.fromkeys(override)]
    if not fleet.profile:
        what = "missing: name one in the file or with --profile, or derive one with --gpu and --model"
        raise SpecError(f"{what} (see 'adaptwin profiles')", "profile", path)
    return [_profile_in(path, place, source) for place, source in enumerate(fleet.profile)]


def _profile_in(path: str | Path, place: int, source: ProfileSource) -> Profile:
    """Return the profile at a place in the list of a fleet file, with paths relative to the file."""
    try:
        return profile_from(source, Path(path).parent)
    except SpecError as error:
        if error.file:
            raise
        field = f"profile[{place}].{error.field}" if isinstance(source, DerivedProfile) else error.field
        raise SpecError(error.message, field, path) from None
