"""write_fleet: the end of every command of `adaptwin workload`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptwin.cli.printing import show, show_json, show_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adaptwin.profile.profile_source import ProfileSource
    from adaptwin.workload.workload import Workload


def from_anywhere(arrivals: str) -> str:
    """Arrivals that mean the same wherever the fleet lies, which reads relative paths from its own folder."""
    from adaptwin.workload.arrivals import with_absolute_path

    return with_absolute_path(arrivals, Path())


def write_fleet(
    workload: "Workload",
    sources: "Sequence[ProfileSource]",
    out: Path,
    as_json: bool,
    more: dict[str, Any] | None = None,
    *,
    rates_over_time: Path | None = None,
) -> None:
    """Write the fleet, once its profiles are known to exist, and say what is in it; `more` is for JSON only.

    The fleet names the file of its rates over time, if there is one.
    """
    from adaptwin.plan.fleet import Fleet
    from adaptwin.profile.profile_source import profile_from, source_beside
    from adaptwin.report.workload import workload_summary, workload_table
    from adaptwin.vllm_versions import oldest
    from adaptwin.workload.arrivals import with_path_beside
    from adaptwin.workload.workload import Workload

    versions = [profile_from(source).vllm_version for source in sources]
    vllm_version = oldest(versions) if versions else None
    fields = {name: getattr(workload, name) for name in Workload.model_fields}
    fleet = Fleet(**fields, profile=tuple(source_beside(source, out.parent) for source in sources))
    if isinstance(fleet.arrivals, str):  # so that fleet and rates can be moved together
        fleet = fleet.model_copy(update={"arrivals": with_path_beside(fleet.arrivals, out.parent)})
    if rates_over_time:
        beside = rates_over_time.resolve().parent == out.resolve().parent
        named = rates_over_time.name if beside else str(rates_over_time.resolve())
        fleet = fleet.model_copy(update={"rates_over_time": named})
    fleet.write(out)
    if as_json:
        show_json({"file": str(out), **workload_summary(workload, vllm_version), **(more or {})}, indent=None)
    else:
        show(workload_table(workload, vllm_version))
        rates_file = out.with_suffix(".rates.csv")
        is_written = workload.arrivals == f"rates:{rates_file.resolve()}"
        show_line(f"written to {out}{f' and {rates_file}, which belong together' if is_written else ''}")
