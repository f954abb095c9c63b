"""design_profiles: the profiles that the mixes of a design take turns on, loaded or derived."""

import numpy as np

from adaptwin.dataset.design import Design
from adaptwin.errors import SpecError
from adaptwin.profile.profile import Profile
from adaptwin.profile.profile_source import ProfileSource, profile_from
from adaptwin.visible import quoted
from adaptwin.workload.drawing.seeds import stream_seed


def design_profiles(design: Design) -> tuple[Profile, ...]:
    """Return the profiles of a design, in order; one that is listed twice, which counts twice, is returned twice.

    Raises:
        SpecError: There is no such profile, it cannot be derived, or two different ones have the same name.
    """
    known: dict[ProfileSource, Profile] = {}
    by_name: dict[str, Profile] = {}
    for place, source in enumerate(design.profiles):
        if source in known:
            continue
        known[source] = profile = profile_from(source)
        if by_name.setdefault(profile.name, profile) != profile:
            raise SpecError(
                f"{quoted(profile.name)} names two different profiles: give one another name", f"profiles[{place}]"
            )
    return tuple(known[source] for source in design.profiles)


def profile_place(design: Design, number: int) -> int:
    """Return the place, in the list of a design, of the profile that the mix with this number is simulated on.

    The profiles take turns in rounds, in an order drawn for each round. In one fixed order, a profile would see only a
    part of the design: every fourth point of a Sobol sequence lies in one half of a dimension.
    """
    turn, place = divmod(number, len(design.profiles))
    order = np.random.default_rng(stream_seed(design.seed, "profiles", str(turn))).permutation(len(design.profiles))
    return int(order[place])
