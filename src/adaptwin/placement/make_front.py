"""make_front: what more GPUs than the fewest gain in latency."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from adaptwin.placement.find_front import find_front
from adaptwin.placement.requirements import checked_profiles
from adaptwin.plan.front import Front
from adaptwin.plan.options import PlanOptions
from adaptwin.profile.profile import Profile
from adaptwin.progress import Progress, silent
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.twin.server import Server
from adaptwin.workload.workload import Workload


def make_front(
    profile_or_profiles: Profile | str | Path | Sequence[Profile | str | Path],
    workload: Workload,
    *,
    seed: int = 0,
    server: Server | None = None,
    surrogate: Surrogate | Literal["shipped"] | None = "shipped",
    progress: Progress = silent,
    **options: Any,
) -> Front:
    """Make a plan on the fewest GPUs, and plans with the lowest latency on a few more.

    Args:
        profile_or_profiles: Profile of the GPUs, or several to choose from; each may be given by name or path.
        workload: Adapters and their traffic.
        seed: Seed of the planner's draws, as for `make_plan`.
        server: Settings that all servers must have.
        surrogate: Surrogate that answers where it is confident, as for `make_plan`.
        progress: Function that is called with the current stage, how much of it is done, and out of how much.
        **options: Options of the first plan, by their names in `PlanOptions`; its objective finds the number of GPUs.
            ``latency`` says which latency the other plans lower: ``itl`` or ``ttft``.

    Returns:
        The plans by rising number of GPUs; `Front.points` has their figures.

    Raises:
        Infeasible: There is no plan with these options.
        SpecError: The options use a given number of GPUs or ask for spare ones, or as `make_plan` does.
    """
    profiles = checked_profiles(profile_or_profiles, workload)
    return find_front(
        profiles,
        workload,
        PlanOptions.of(options),
        seed=seed,
        server=server,
        surrogate=surrogate,
        progress=progress,
    )
