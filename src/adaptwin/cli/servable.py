"""Adapters of a fleet that vLLM can serve: the others are an error or left out, and either way listed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from adaptwin.cli.printing import tell
from adaptwin.errors import SpecError
from adaptwin.plan.by_base import by_base, idle_profiles, unserved
from adaptwin.plan.fleet import Fleet
from adaptwin.plan.served_adapters import require_servable, served_otherwise, without_unsupported
from adaptwin.profile.profile import Profile

MOST_WARNED = 8  # adapters named in a warning


def servable(fleet: Fleet, profiles: Sequence[Profile], path: Path, skip_unsupported: bool) -> Fleet:
    """Return the fleet without the adapters that vLLM cannot serve on the profiles; print those, and warnings.

    Raises:
        SpecError: The profiles have several base models, or vLLM cannot serve an adapter that is not to be skipped.
    """
    try:
        if skip_unsupported:
            fleet, skipped = without_unsupported(fleet, profiles)
            list_left_out(skipped)
        require_servable(fleet, profiles)
    except SpecError as error:
        raise (error.at(path) if error.field == "adapters" else error) from None
    list_warnings(served_otherwise(fleet, profiles))
    return fleet


def servable_by_base(fleet: Fleet, profiles: Sequence[Profile], path: Path, skip_unsupported: bool) -> Fleet:
    """Return the fleet without the adapters that vLLM cannot serve on the profiles of their base; print as `servable`.

    Profiles whose base model no adapter has are named in a warning.

    Raises:
        SpecError: An adapter names no base although the profiles have several, or one that no profile serves, or vLLM
            cannot serve an adapter, and it is not to be skipped.
    """
    try:
        unknown = unserved(fleet, profiles) if skip_unsupported else {}
        if 0 < len(unknown) < len(fleet):
            list_left_out(unknown)
            fleet = fleet.without(unknown)
        parts = by_base(fleet, profiles)
    except SpecError as error:
        raise (error.at(path) if error.field == "adapters" else error) from None
    if idle := idle_profiles(parts, profiles):
        names = ", ".join(f"{profile.name} ({profile.model.name})" for profile in idle)
        tell(f"warning: not used, as no adapter has the base model: {names}")
    kept = {
        adapter.name
        for part in parts
        for adapter in servable(part.workload, part.profiles, path, skip_unsupported).adapters
    }
    left_out = {adapter.name for adapter in fleet.adapters} - kept
    return fleet.without(left_out) if left_out else fleet


def list_left_out(skipped: Mapping[str, str]) -> None:
    """Print the adapters that were left out, with the reasons, on the error stream."""
    for name, reason in skipped.items():
        tell(f"left out {name}: {reason}")


def list_warnings(warnings: Mapping[str, str]) -> None:
    """Print what is to be said about adapters on the error stream, one line for all adapters with the same words."""
    names: dict[str, list[str]] = {}
    for name, told in warnings.items():
        names.setdefault(told, []).append(name)
    for told, alike in names.items():
        more = f" and {len(alike) - MOST_WARNED:,} more" if len(alike) > MOST_WARNED else ""
        tell(f"warning: {', '.join(alike[:MOST_WARNED])}{more}: {told}")
