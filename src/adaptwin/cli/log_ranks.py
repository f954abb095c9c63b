"""Options that say which names in a log are adapters, and their ranks."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adaptwin.errors import SpecError, did_you_mean
from adaptwin.visible import quoted

if TYPE_CHECKING:
    from adaptwin.profile.profile_source import ProfileSource
    from adaptwin.workload.sources.logged_adapters import AdapterRanks
    from adaptwin.workload.workload import Adapter


def adapter_ranks(
    rank: int | None,
    ranks_from: Path | None,
    base_models: list[str] | None,
    sources: "Sequence[ProfileSource]",
    *,
    skip_bad: bool,
    skip_unsupported: bool,
) -> "AdapterRanks":
    """Return the ranks that the options give; raises `SpecError` if they give none, or a file is wrong."""
    from adaptwin.profile.profile_source import profile_from
    from adaptwin.workload.sources.logged_adapters import AdapterRanks

    if rank is None and ranks_from is None:
        raise SpecError("missing: give the rank of all adapters, or --ranks-from with a rank for each name", "--rank")
    if rank is not None:
        _require_rank(rank)
    models = [profile_from(source).model.name for source in sources]
    known: Iterable[Adapter] = ()
    if ranks_from is not None and ranks_from.is_dir():
        known = _adapters_in_folder(ranks_from, sources, skip_bad, skip_unsupported)
    elif ranks_from is not None:
        known = _adapters_in_file(ranks_from)
    return AdapterRanks(rank, {adapter.name: adapter for adapter in known}, (*(base_models or ()), *models))


def require_logged(base_models: Iterable[str], names: Sequence[str]) -> None:
    """Raise `SpecError` for a base model that none of the names in a log stands for."""
    from adaptwin.workload.sources.logged_adapters import first_names, stands_for

    for base in base_models:
        if not any(stands_for(name, base) for name in names):
            message = f"{quoted(base)} is not a model in the log ({first_names(names)}){did_you_mean(base, names)}"
            raise SpecError(message, "--base-model")


def _require_rank(rank: int) -> None:
    from adaptwin.workload.workload import Adapter

    try:
        Adapter(name="any", rank=rank, rate=0.0)
    except SpecError as error:
        raise SpecError(error.message, "--rank") from None


def _adapters_in_folder(
    folder: Path, sources: "Sequence[ProfileSource]", skip_bad: bool, skip_unsupported: bool
) -> "Iterable[Adapter]":
    """Return the adapters that PEFT has saved in a folder."""
    from adaptwin.cli.servable import list_left_out, list_warnings
    from adaptwin.plan.served_adapters import served_models
    from adaptwin.profile.profile_source import profile_from
    from adaptwin.workload.sources.peft import read_peft_folder

    served = served_models([profile_from(source) for source in sources])
    found = read_peft_folder(folder, rate=0.0, served=served, skip_bad=skip_bad, skip_unsupported=skip_unsupported)
    list_left_out(found.bad)
    list_left_out(found.skipped)
    list_warnings(found.warnings)
    return found.adapters


def _adapters_in_file(file: Path) -> "Iterable[Adapter]":
    """Return the adapters of a CSV or fleet file."""
    from adaptwin.plan.fleet import Fleet
    from adaptwin.workload.sources.adapters_csv import read_adapter_ranks

    if file.suffix.lower() in (".yaml", ".yml", ".json"):
        return Fleet.read(file).adapters
    return read_adapter_ranks(file)
