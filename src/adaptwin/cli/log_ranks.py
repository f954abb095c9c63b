"""Options that say which names in a log are adapters, and their ranks."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adaptwin.errors import SpecError, did_you_mean
from adaptwin.visible import quoted

if TYPE_CHECKING:
    from adaptwin.workload.sources.logged_adapters import AdapterRanks
    from adaptwin.workload.workload import Adapter


def adapter_ranks(
    rank: int | None, ranks_from: Path | None, base_models: list[str] | None, profiles: list[str] | None
) -> "AdapterRanks":
    """Return the ranks that the options give; raises `SpecError` if they give none, or a file is wrong."""
    from adaptwin.profile.profile import load_profile
    from adaptwin.workload.sources.logged_adapters import AdapterRanks

    if rank is None and ranks_from is None:
        raise SpecError("missing: give the rank of all adapters, or --ranks-from with a rank for each name", "--rank")
    if rank is not None:
        _require_rank(rank)
    models = [load_profile(name).model.name for name in profiles or ()]
    known: Iterable[Adapter] = () if ranks_from is None else _known_adapters(ranks_from, profiles)
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


def _known_adapters(place: Path, profiles: list[str] | None) -> "Iterable[Adapter]":
    """Return the adapters of a folder, a CSV file or a fleet file."""
    from adaptwin.cli.servable import list_warnings
    from adaptwin.plan.fleet import Fleet
    from adaptwin.plan.served_adapters import served_model
    from adaptwin.profile.profile import load_profile
    from adaptwin.workload.sources.adapters_csv import read_adapter_ranks
    from adaptwin.workload.sources.peft import read_peft_folder

    if place.is_dir():
        served = served_model([load_profile(name) for name in profiles]) if profiles else None
        found = read_peft_folder(place, rate=0.0, served=served)
        list_warnings(found.warnings)
        return found.adapters
    if place.suffix.lower() in (".yaml", ".yml", ".json"):
        return Fleet.read(place).adapters
    return read_adapter_ranks(place)
