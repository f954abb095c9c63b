"""files_of_fleet: the files that a command reads besides those that it is given, so that it never writes over them."""

from pathlib import Path
from typing import TYPE_CHECKING

from adaptwin.cli.profile_options import files_of_profiles

if TYPE_CHECKING:
    from adaptwin.plan.fleet import Fleet
    from adaptwin.workload.workload import Workload


def files_of_fleet(fleet: "Fleet", path: Path) -> list[Path]:
    """Return the profiles, the arrival rates and the rates over time that a fleet file names, existing or not."""
    rates = [Path(fleet.rates_over_time)] if fleet.rates_over_time else []
    return files_of_profiles(fleet.profile, path.parent) + files_of_workload(fleet.workload) + rates


def files_of_workload(workload: "Workload") -> list[Path]:
    """Return the files of arrival rates that a workload names."""
    named = {workload.arrivals, *(adapter.arrivals for adapter in workload.adapters)}
    return files_of_options(*(text for text in named if isinstance(text, str)))


def files_of_options(*texts: str | None) -> list[Path]:
    """Return the files that values of options may name, such as ``rates:cv=2,FILE`` or a path."""
    from adaptwin.workload.arrivals import split_rates

    return [Path(split_rates(text)[1] if text.startswith("rates:") else text) for text in texts if text]
