"""make_plan: a workload on one or several profiles -> a verified Plan."""

import time
from collections.abc import Sequence

from adaptwin.errors import Infeasible, SpecError
from adaptwin.placement.bound import lower_bound
from adaptwin.placement.capacity import Capacity
from adaptwin.placement.forecast import forecast_all
from adaptwin.placement.pack import pack
from adaptwin.placement.paper_greedy import paper_greedy
from adaptwin.placement.plan import PlacedServer, Plan
from adaptwin.placement.problem import Assignment, Problem, Progress, Strategy, silent
from adaptwin.placement.repair import relieve
from adaptwin.placement.round_robin import round_robin
from adaptwin.placement.verify import verify
from adaptwin.profile.profile import Profile
from adaptwin.twin.server import Server
from adaptwin.twin.simulate import announce_compilation
from adaptwin.workload.workload import Workload

STRATEGIES: dict[str, Strategy] = {"pack": pack, "paper_greedy": paper_greedy, "round_robin": round_robin}
OBJECTIVES = ("min-gpus",)

REPAIRS = 8  # rounds of relief for servers that fail verification
REPAIR_HEADROOM = 0.05  # a repaired server must bear this much more traffic than was asked for


def make_plan(
    profile_or_profiles: Profile | Sequence[Profile],
    workload: Workload,
    *,
    objective: str = "min-gpus",
    strategy: str = "pack",
    headroom: float = 0.0,
    seed: int = 0,
    server: Server | None = None,
    progress: Progress = silent,
) -> Plan:
    """Find the fewest GPUs that serve a workload, with the settings of each server, and verify the result.

    Args:
        profile_or_profiles: What the GPUs cost; with several, the plan uses the one that needs the fewest.
        workload: Adapters and traffic; its duration is the window over which the twin judges a server.
        objective: ``min-gpus``.
        strategy: ``pack`` (the default), ``paper_greedy`` or ``round_robin``.
        headroom: Share of traffic that every GPU must be able to take more: 0.2 is 20 %.
        seed: Of the planner's draws; verification takes another.
        server: Settings common to all servers; slots and ranks are the planner's.
        progress: Told what is being done, and how much of it.

    Raises:
        Infeasible: Some adapter cannot be served at all; the message names it and what binds.
        SpecError: An unknown objective or strategy, or a workload without adapters.
    """
    _require_known(objective, strategy, workload, headroom)
    profiles = [profile_or_profiles] if isinstance(profile_or_profiles, Profile) else list(profile_or_profiles)
    template = server or Server()
    announce_compilation()
    plans: list[Plan] = []
    failures: list[Infeasible] = []
    for profile in profiles:
        try:
            plans.append(_plan_on(profile, workload, template, objective, strategy, headroom, seed, progress))
        except Infeasible as error:
            failures.append(error)
    if not plans:
        raise failures[0]
    best = min(plans, key=lambda plan: (not plan.verified, plan.gpus))
    bound = lower_bound(profiles, workload, template)
    return best.model_copy(update={"lower_bound": bound})


def _require_known(objective: str, strategy: str, workload: Workload, headroom: float) -> None:
    if objective not in OBJECTIVES:
        raise SpecError(f"{objective!r} is not one of {', '.join(OBJECTIVES)}", "objective")
    if strategy not in STRATEGIES:
        raise SpecError(f"{strategy!r} is not one of {', '.join(STRATEGIES)}", "strategy")
    if headroom < 0:
        raise SpecError(f"{headroom} must be at least 0", "headroom")
    if not workload.adapters:
        raise SpecError("lists no adapter", "adapters")


def _plan_on(
    profile: Profile,
    workload: Workload,
    template: Server,
    objective: str,
    strategy: str,
    headroom: float,
    seed: int,
    progress: Progress,
) -> Plan:
    started = time.perf_counter()
    capacity = Capacity(profile, workload.model_copy(update={"seed": seed}), template, headroom)
    problem = Problem(capacity, seed, lower_bound([profile], workload, template), progress)
    assignments = STRATEGIES[strategy](problem)
    plan = Plan(
        objective=objective,
        strategy=strategy,
        seed=seed,
        headroom=headroom,
        lower_bound=problem.lower_bound,
        servers=_placed(profile, assignments),
        profiles=(profile,),
        workload=workload,
    )
    plan, assignments = _verified(plan, capacity, assignments, progress)
    progress("measuring headroom", 0, 1)
    described = forecast_all(capacity, assignments, seed)
    progress("measuring headroom", 1, 1)
    servers = tuple(
        placed.model_copy(update={"forecast": expected, "choices": choices})
        for placed, (expected, choices) in zip(plan.servers, described, strict=True)
    )
    seconds = round(time.perf_counter() - started, 3)
    return plan.model_copy(update={"servers": servers, "planning_seconds": seconds})


def _placed(profile: Profile, assignments: Sequence[Assignment]) -> tuple[PlacedServer, ...]:
    width = len(str(len(assignments) - 1))
    return tuple(
        PlacedServer(name=f"gpu-{i:0{width}}", profile=profile.name, server=a.server, adapters=dict(a.shares))
        for i, a in enumerate(assignments)
    )


def _verified(
    plan: Plan, capacity: Capacity, assignments: list[Assignment], progress: Progress
) -> tuple[Plan, list[Assignment]]:
    """Verify with a fresh seed; relieve the servers that fail, and verify again."""
    raised = Capacity(capacity.profile, capacity.workload, capacity.template, capacity.headroom + REPAIR_HEADROOM)
    for repair in range(REPAIRS + 1):
        progress("verifying", repair, REPAIRS + 1)
        check = verify(plan, seed=plan.seed + 1)
        if check.ok:
            progress("verifying", REPAIRS + 1, REPAIRS + 1)
            return plan.model_copy(update={"verified": True}), assignments
        if repair < REPAIRS:
            failing = [index for index, run in enumerate(check.runs) if run.worst != "ok"]
            assignments = relieve(raised, assignments, failing)
            plan = plan.model_copy(update={"servers": _placed(capacity.profile, assignments)})
    return plan, assignments
