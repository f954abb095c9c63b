"""make_plans: find verified plans for a workload with several base models."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from adaptwin.placement.find_plans import find_plans
from adaptwin.placement.requirements import checked_profiles
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plans import Plans
from adaptwin.profile.profile import Profile
from adaptwin.progress import Progress, silent
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.twin.server import Server
from adaptwin.workload.workload import Workload


def make_plans(
    profiles: Sequence[Profile | str | Path],
    workload: Workload,
    *,
    seed: int = 0,
    server: Server | None = None,
    surrogate: Surrogate | Literal["shipped"] | None = "shipped",
    progress: Progress = silent,
    **options: Any,
) -> Plans:
    """Make a plan for each base model of a workload, as `make_plan` does for one.

    If the profiles have several base models, every adapter must name its own, in `Adapter.base`. Each base model has
    servers of its own. Profiles of a base model that no adapter names are left out.

    Args:
        profiles: Profiles of the GPUs, at least one for each base model; several of one base model are a choice.
            Each may be given by name or path.
        workload: Adapters and their traffic.
        seed: Seed of the planner's draws, as for `make_plan`.
        server: Settings common to all servers.
        surrogate: Surrogate that answers where it is confident, as for `make_plan`.
        progress: Function that is called with the current stage, how much of it is done, and out of how much.
        **options: Options of the plans, by their names in `PlanOptions`. They hold for each base model: with
            ``spare=1``, every one has a spare GPU, so that any GPU of the fleet may fail. ``time_limit`` is for all
            plans together. Objectives that use a given number of GPUs are refused.

    Raises:
        Infeasible: A base model has no plan; the message names it and the cause.
        SpecError: An adapter names no base or one without a profile, or an option is wrong or does not suit several
            base models.
    """
    return find_plans(
        checked_profiles(profiles, workload),
        workload,
        PlanOptions.of(options),
        seed=seed,
        server=server,
        surrogate=surrogate,
        progress=progress,
    )
