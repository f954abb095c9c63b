"""Margins: the extra traffic that a plan allows for errors of the twin."""

import math
from typing import Literal

from adaptwin.errors import SpecError
from adaptwin.profile.profile import Profile

ONE_IN_TWENTY = 1.645  # standard deviations that a normal variate exceeds, on one side, in one case in twenty


def margin_of(asked: float | Literal["profile"], profile: Profile) -> float:
    """Return the margin as a share of the traffic; raises `SpecError` if the profile states no uncertainty."""
    if asked != "profile":
        return asked
    if not profile.spread:
        raise SpecError(f"profile {profile.name} states no uncertainty: give the margin as a share", "margin")
    if not profile.claimed:
        what = f"profile {profile.name} has changed since its uncertainty was measured: give the margin as a share"
        raise SpecError(what, "margin")
    # The largest is that of starved servers: the others serve all that arrives.
    capacity = max(spread.throughput for spread in profile.spread)
    return math.exp(ONE_IN_TWENTY * capacity) - 1.0
