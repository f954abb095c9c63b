"""Fleet: a workload together with where and how it is to be planned - what a fleet file holds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator

from adaptwin.errors import SpecError
from adaptwin.placement.objectives.registry import objective_named
from adaptwin.placement.planner import find_plan
from adaptwin.placement.strategies.registry import strategy_named
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import Plan
from adaptwin.profile.profile import Profile, is_profile_file, load_profile
from adaptwin.progress import Progress, silent
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.twin.server import Server
from adaptwin.workload.sources.adapters_csv import read_adapters_csv
from adaptwin.workload.workload import Workload


class Fleet(Workload):
    """A workload that may name its profiles, planning options and settings common to all servers."""

    profile: tuple[str, ...] = ()
    planning: PlanOptions = PlanOptions()
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
    try:
        objective_named(fleet.planning.objective)
        strategy_named(fleet.planning.strategy)
    except SpecError as error:
        raise SpecError(error.message, f"planning.{error.field}", path) from None
    return fleet


def fleet_profiles(fleet: Fleet, path: str | Path, override: list[str] | None = None) -> list[Profile]:
    """Load the profiles to plan for: `override`, or those that the fleet names; raises `SpecError` if there is none."""
    names = override or list(fleet.profile)
    if not names:
        raise SpecError("missing: name one in the file or with --profile (see 'adaptwin profiles')", "profile", path)
    try:
        return [load_profile(name if override else _beside(path, name)) for name in names]
    except SpecError as error:
        raise (error if override or error.file else error.at(path)) from None


def plan_fleet(
    fleet: Fleet,
    profiles: Sequence[Profile],
    overrides: Mapping[str, Any],
    *,
    arrivals: str | None = None,
    seed: int | None = None,
    surrogate: Surrogate | Literal["shipped"] | None = "shipped",
    progress: Progress = silent,
) -> Plan:
    """Find a plan for a fleet with the options of its file, some of them overridden.

    Args:
        fleet: The fleet; see `read_fleet`.
        profiles: Profiles of the GPUs to choose from; see `fleet_profiles`.
        overrides: Fields of `PlanOptions`; they take precedence over the file's, and prices do so by profile.
        arrivals: Arrivals of adapters without arrivals of their own; takes precedence over the file's.
        seed: Seed of the planner's draws; takes precedence over the fleet's.
        surrogate: As for `make_plan`.
        progress: As for `make_plan`.

    Raises:
        Infeasible: As for `make_plan`.
        SpecError: As for `make_plan`.
    """
    fields = {**dict(fleet.planning), **overrides}
    fields["prices"] = fleet.planning.prices | dict(overrides.get("prices") or {})
    workload = fleet.workload
    return find_plan(
        profiles,
        workload if arrivals is None else workload.with_arrivals(arrivals),
        PlanOptions.of(fields),
        seed=fleet.seed if seed is None else seed,
        server=fleet.server,
        surrogate=surrogate,
        progress=progress,
    )


def _beside(path: str | Path, name: str) -> str:
    """Return where to find a profile that a fleet names: a file is beside the fleet, a shipped one is just a name."""
    file = Path(path).parent / name
    return str(file) if is_profile_file(name) else name
