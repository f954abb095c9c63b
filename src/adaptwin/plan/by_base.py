"""Fleet parts: the adapters and the profiles of a fleet, divided by base model."""

from collections.abc import Container, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from adaptwin.errors import SpecError, did_you_mean
from adaptwin.model_names import model_among
from adaptwin.plan.base_models import by_model
from adaptwin.profile.profile import Profile
from adaptwin.workload.workload import Workload

MOST_WITHOUT_BASE = 5  # adapters named in an error

PartWorkload = TypeVar("PartWorkload", bound=Workload)


class FleetPart(NamedTuple, Generic[PartWorkload]):
    """The adapters of one base model with their traffic, and the profiles that serve it."""

    base: str
    profiles: tuple[Profile, ...]
    workload: PartWorkload


def by_base(workload: PartWorkload, profiles: Sequence[Profile]) -> tuple[FleetPart[PartWorkload], ...]:
    """Divide a fleet by base model, in the order of the profiles; a base without adapters is left out.

    Where all profiles are of one base model, the fleet is one part, as it is. Otherwise every adapter must name its
    base. Names are compared as those of adapters and profiles always are: without organisation, case and precision; an
    adapter of another variant of a model (``Instruct``) belongs to that model unless a profile serves the variant.
    Timestamps of the workload are dealt to the adapters first.

    Raises:
        SpecError: An adapter names no base, or one that no profile serves; the message names the adapters.
    """
    groups = by_model(profiles)
    if len(groups) <= 1:
        return (FleetPart(next(iter(groups), ""), tuple(profiles), workload),)
    if not workload.adapters:
        raise SpecError("lists no adapter", "adapters")
    _require_bases(workload, groups)
    if missing := unserved(workload, profiles):
        raise SpecError(_unserved_in_words(workload, missing, groups), "adapters")
    models = [model_among(adapter.base, groups) for adapter in workload.adapters]
    used = [model for model in groups if model in models]
    shares: dict[str, dict[str, float]] = {model: {} for model in used}
    for adapter, model in zip(workload.adapters, models, strict=True):
        shares[str(model)][adapter.name] = 1.0
    parts = workload.parts(shares.values())
    return tuple(FleetPart(model, groups[model], part) for model, part in zip(used, parts, strict=True))


def unserved(workload: Workload, profiles: Sequence[Profile]) -> dict[str, str]:
    """Return the adapters whose base no profile serves, each with the reason; none if the profiles have one base."""
    groups = by_model(profiles)
    if len(groups) <= 1:
        return {}
    return {
        adapter.name: f"no profile serves its base model {adapter.base}"
        for adapter in workload.adapters
        if adapter.base and model_among(adapter.base, groups) is None
    }


def idle_profiles(parts: Sequence[FleetPart[PartWorkload]], profiles: Sequence[Profile]) -> list[Profile]:
    """Return the profiles whose base model no adapter of the parts has."""
    used = {profile.name for part in parts for profile in part.profiles}
    return [profile for profile in profiles if profile.name not in used]


def _require_bases(workload: Workload, groups: Mapping[str, object]) -> None:
    """Raise `SpecError` if an adapter does not name its base."""
    without = [adapter.name for adapter in workload.adapters if adapter.base is None]
    if without:
        named = ", ".join(without[:MOST_WITHOUT_BASE])
        more = f" and {len(without) - MOST_WITHOUT_BASE:,} more" if len(without) > MOST_WITHOUT_BASE else ""
        verb = "names" if len(without) == 1 else "name"
        raise SpecError(
            f"{len(without):,} of {len(workload):,} {verb} no base model ({named}{more}), but the profiles have "
            f"{len(groups)}: give each adapter a base (a field, or a column of a CSV): {' or '.join(groups)}",
            "adapters",
        )


def _unserved_in_words(workload: Workload, missing: Container[str], groups: Mapping[str, Sequence[Profile]]) -> str:
    """Return the message that no profile serves the base of the adapters in `missing`."""
    adapters: dict[str, list[str]] = {}
    for adapter in workload.adapters:
        if adapter.name in missing:
            adapters.setdefault(str(adapter.base), []).append(adapter.name)
    told = []
    for base, names in adapters.items():
        more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        told.append(f"{base}, the base of {names[0]}{more}{did_you_mean(base, groups)}")
    served = ", ".join(f"{model} ({', '.join(p.name for p in profiles)})" for model, profiles in groups.items())
    left_out = "--skip-unsupported leaves such adapters out"
    return f"no profile serves {', nor '.join(told)} ({left_out}); the profiles serve {served}"
