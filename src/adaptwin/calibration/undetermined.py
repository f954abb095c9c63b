"""Undetermined: the constants of a profile that its measurements do not determine, and what they are instead."""

from collections.abc import Iterable
from typing import NamedTuple

from adaptwin.calibration.determination import Determination
from adaptwin.profile.profile import Profile


class Undetermined(NamedTuple):
    """A constant of the profile that the measurements do not determine."""

    constant: str  # such as step_cost.lora_launch
    value: float  # in the fitted profile
    start: float  # in the profile that the fit starts from, or from the shapes of the model
    kept: bool  # the value is that of the start; False: fitted, but only together with other constants or roughly


def undetermined(part: str, names: Iterable[str], start: Iterable[float], result: Determination) -> list[Undetermined]:
    """Return the constants of a part of the profile that a fit has not determined."""
    rows = zip(names, result.constants, start, result.kept, result.tied, strict=True)
    return [
        Undetermined(f"{part}.{name}", float(value), float(first), bool(kept))
        for name, value, first, kept, tied in rows
        if kept or tied
    ]


def unmeasured(profile: Profile, part: str, names: Iterable[str]) -> list[Undetermined]:
    """Return constants of a part of the profile about which nothing was measured."""
    values = {name: float(getattr(getattr(profile, part), name)) for name in names}
    return [Undetermined(f"{part}.{name}", value, value, kept=True) for name, value in values.items()]
