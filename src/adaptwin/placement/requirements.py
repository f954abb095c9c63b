"""Requirements: profiles, workloads and options with which a plan can be searched for at all."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from adaptwin.errors import SpecError, not_one_of, require_type
from adaptwin.placement.objectives.registry import Objective, with_given_gpus
from adaptwin.placement.strategies.registry import Strategy
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.served_adapters import require_servable
from adaptwin.profile.evidence import ROUGH
from adaptwin.profile.profile import Profile, as_profile
from adaptwin.twin.verdict import require_long_enough
from adaptwin.visible import quoted
from adaptwin.workload.workload import Workload


def checked_profiles(
    profile_or_profiles: Profile | str | Path | Sequence[Profile | str | Path], workload: Workload
) -> list[Profile]:
    """Return one or several profiles as a list, those given by name or path loaded.

    Raises `SpecError` if a name or path is unknown, or an argument is of another type.
    """
    one = isinstance(profile_or_profiles, Profile | str | Path)
    given: Any = [profile_or_profiles] if one else profile_or_profiles
    if not isinstance(given, Iterable):
        raise SpecError(f"{quoted(given)} is neither a profile nor several", "profile")
    profiles = [as_profile(profile, f"profiles[{index}]") for index, profile in enumerate(given)]
    require_type(workload, Workload, "workload")
    return profiles


def require_distinct_names(profiles: Sequence[Profile]) -> None:
    """Raise `SpecError` if several profiles have the same name."""
    if twice := [name for name, times in Counter(profile.name for profile in profiles).items() if times > 1]:
        raise SpecError(f"{quoted(twice[0])} is the name of several profiles: give one of them another name", "profile")


def priced(profiles: Sequence[Profile], options: PlanOptions) -> list[Profile]:
    """Return the profiles with the prices of the options, if given; raises `SpecError` for an unknown profile."""
    names = [profile.name for profile in profiles]
    for name in options.prices:
        if name not in names:
            raise SpecError(not_one_of(name, names), "prices")
    return [
        profile.model_copy(update={"price_per_hour": options.prices.get(profile.name, profile.price_per_hour)})
        for profile in profiles
    ]


def require_possible(
    profiles: Sequence[Profile], workload: Workload, options: PlanOptions, objective: Objective, strategy: Strategy
) -> None:
    """Raise `SpecError` if options contradict each other, the profiles or the workload."""
    if not workload.adapters:
        raise SpecError("lists no adapter", "adapters")
    require_long_enough(workload)
    _require_consistent(options, objective)
    if not profiles:
        raise SpecError("none is given", "profile")
    require_distinct_names(profiles)
    _require_trusted(profiles, options)
    _require_whole_server(profiles, options)
    require_servable(workload, profiles)
    options.constraints.require_known(workload)
    if options.constraints and not strategy.knows_constraints:
        raise SpecError(f"{options.strategy} does not support constraints; use pack", "strategy")


def _require_consistent(options: PlanOptions, objective: Objective) -> None:
    """Raise `SpecError` if options contradict the objective, which is given the number of GPUs or finds it."""
    name, given = options.objective, objective.given_gpus
    takers = ", ".join(with_given_gpus())
    for wrong, field, what in (
        (given and options.gpus is None, "gpus", f"missing: {name} needs the number of GPUs"),
        (
            not given and options.gpus is not None,
            "gpus",
            f"{options.gpus}: {name} finds the number of GPUs; only {takers} take it",
        ),
        (
            given and options.spare,
            "spare",
            f"{options.spare}: {name} uses all GPUs that it is given, so none is spare",
        ),
        (
            given and options.allow_merged,
            "allow_merged",
            f"{name} does not merge weights; leave it out, or use an objective that finds the number of GPUs",
        ),
        (
            given and options.confidence is not None,
            "confidence",
            f"{options.confidence}: {name} is given the GPUs; use an objective that finds how many reach it",
        ),
        (
            options.confidence is None and options.rate_uncertainty,
            "rate_uncertainty",
            f"{options.rate_uncertainty:g}: it counts only for a confidence; ask for one, too",
        ),
    ):
        if wrong:
            raise SpecError(what, field)


def _require_trusted(profiles: Sequence[Profile], options: PlanOptions) -> None:
    """Raise `SpecError` if a profile is only rough and the options do not accept this."""
    if rough := [profile.name for profile in profiles if profile.grade == ROUGH and not options.accept_rough]:
        what = f"{quoted(rough[0])} is only rough, as no real server with a model like this was compared"
        raise SpecError(f"{what}: it is planned with only if asked for (accept_rough, --accept-rough)", "profile")


def _require_whole_server(profiles: Sequence[Profile], options: PlanOptions) -> None:
    """Raise `SpecError` if GPUs are given, and too few for a server of any profile."""
    smallest = min(profiles, key=lambda profile: profile.tensor_parallel_size)
    if options.gpus is not None and options.gpus < smallest.tensor_parallel_size:
        what = f"too few, as a server of {smallest.name} has {smallest.tensor_parallel_size}"
        raise SpecError(f"{options.gpus}: {what}", "gpus")
