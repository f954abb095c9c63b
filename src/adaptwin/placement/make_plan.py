"""make_plan: a workload on one or several profiles -> a verified Plan."""

import math
import time
from collections.abc import Sequence
from typing import Literal, NamedTuple

from adaptwin.errors import Infeasible, SpecError
from adaptwin.placement.bound import lower_bound
from adaptwin.placement.capacity import Capacity
from adaptwin.placement.forecast import forecast_all
from adaptwin.placement.foresight import Foresight
from adaptwin.placement.plan import PlacedServer, Plan
from adaptwin.placement.problem import Assignment, Problem, Strategy
from adaptwin.placement.repair import repair
from adaptwin.placement.strategies.dlora import dlora
from adaptwin.placement.strategies.least_loaded import least_loaded
from adaptwin.placement.strategies.loraserve import loraserve
from adaptwin.placement.strategies.max_base import max_base
from adaptwin.placement.strategies.pack import pack
from adaptwin.placement.strategies.paper_greedy import paper_greedy
from adaptwin.placement.strategies.random_placement import random_placement
from adaptwin.placement.strategies.round_robin import round_robin
from adaptwin.placement.trial import failing_servers
from adaptwin.profile.profile import Profile
from adaptwin.progress import Progress, silent
from adaptwin.surrogate.surrogate import Surrogate, surrogate_for
from adaptwin.twin.compilation import compile_twin
from adaptwin.twin.server import Server
from adaptwin.workload.workload import Workload

STRATEGIES: dict[str, Strategy] = {
    "pack": pack,
    "paper_greedy": paper_greedy,
    "dlora": dlora,
    "loraserve": loraserve,
    "max_base": max_base,
    "least_loaded": least_loaded,
    "round_robin": round_robin,
    "random": random_placement,
}
OBJECTIVES = ("min-gpus",)

ONE_IN_TWENTY = 1.645  # standard deviations of a normal variate
SAFETY = 0.03  # more traffic that servers are filled for when filling them to the brim did not hold
REPAIRS = 8  # rounds of relief for servers that fail verification
REPAIR_HEADROOM = 0.05  # a repaired server must bear this much more traffic than was asked for


def make_plan(
    profile_or_profiles: Profile | Sequence[Profile],
    workload: Workload,
    *,
    objective: str = "min-gpus",
    strategy: str = "pack",
    headroom: float = 0.0,
    margin: float | Literal["profile"] = 0.0,
    seed: int = 0,
    time_limit: float | None = None,
    server: Server | None = None,
    surrogate: Surrogate | Literal["shipped"] | None = "shipped",
    progress: Progress = silent,
) -> Plan:
    """Find the fewest GPUs that serve a workload, with the settings of each server, and verify the result.

    Args:
        profile_or_profiles: What the GPUs cost; with several, the plan uses the one that needs the fewest.
        workload: Adapters and traffic; its duration is the window over which the twin judges a server.
        objective: ``min-gpus``.
        strategy: ``pack`` (the default), or to compare with it ``paper_greedy``, ``dlora``, ``loraserve``,
            ``max_base``, ``least_loaded``, ``round_robin`` or ``random``.
        headroom: Share of traffic that every GPU must be able to take more: 0.2 is 20 %.
        margin: Safety margin on the twin's predictions, as a share of the traffic. ``"profile"`` takes it from the
            profile's uncertainty of what a full server serves: one real server in twenty serves still less.
        seed: Of the planner's draws; verification takes others.
        time_limit: Seconds of search; then the best placement so far is verified, and the plan says so.
        server: Settings common to all servers; slots and ranks are the planner's.
        surrogate: Predictors that answer where they are sure, so that the twin is asked less; by default the shipped
            ones. None asks the twin everything. The plan is verified by the twin in any case.
        progress: Told what is being done, and how much of it.

    Raises:
        Infeasible: Some adapter cannot be served at all; the message names it and what binds.
        SpecError: An unknown objective or strategy, or a workload without adapters.
    """
    profiles = [profile_or_profiles] if isinstance(profile_or_profiles, Profile) else list(profile_or_profiles)
    template = server or Server()
    _require_known(objective, strategy, workload, headroom, margin)
    _require_free(profiles, template)
    compile_twin()
    wish = Plan.model_construct(
        objective=objective,
        strategy=strategy,
        seed=seed,
        headroom=headroom,
        lower_bound=lower_bound(profiles, workload, template, headroom),
        servers=(),
        profiles=tuple(profiles),
        workload=workload,
    )
    plans: list[Plan] = []
    failures: list[Infeasible] = []
    for profile in profiles:
        try:
            of_profile = wish.model_copy(update={"margin": _margin(margin, profile)})
            foresight = _foresight(surrogate, profile, workload, template)
            plans.append(_plan_on(profile, of_profile, template, foresight, time_limit, progress))
        except Infeasible as error:
            failures.append(error)
    if not plans:
        raise failures[0]
    return min(plans, key=lambda plan: (not plan.verified, plan.gpus))


def _foresight(
    surrogate: Surrogate | Literal["shipped"] | None, profile: Profile, workload: Workload, template: Server
) -> Foresight | None:
    if surrogate is None:
        return None
    predictors = surrogate_for(profile) if surrogate == "shipped" else surrogate.on(profile)
    return Foresight(predictors, workload, template)


def _margin(asked: float | Literal["profile"], profile: Profile) -> float:
    """The margin as a share of the traffic; raises `SpecError` where the profile cannot tell."""
    if asked != "profile":
        return asked
    if not profile.spread:
        raise SpecError(f"profile {profile.name} does not know its uncertainty: give the margin as a share", "margin")
    capacity = max(spread.throughput for spread in profile.spread)  # of starved servers: the others serve what comes
    return math.exp(ONE_IN_TWENTY * capacity) - 1.0


def _require_known(
    objective: str, strategy: str, workload: Workload, headroom: float, margin: float | Literal["profile"]
) -> None:
    if objective not in OBJECTIVES:
        raise SpecError(f"{objective!r} is not one of {', '.join(OBJECTIVES)}", "objective")
    if strategy not in STRATEGIES:
        raise SpecError(f"{strategy!r} is not one of {', '.join(STRATEGIES)}", "strategy")
    for name, value in (("headroom", headroom), ("margin", 0.0 if margin == "profile" else margin)):
        if not 0 <= value <= 10:
            raise SpecError(f"{value} must be from 0 to 10", name)
    if not workload.adapters:
        raise SpecError("lists no adapter", "adapters")


def _require_free(profiles: Sequence[Profile], template: Server) -> None:
    if not profiles:
        raise SpecError("none is given", "profile")
    for name in ("max_loras", "max_lora_rank", "max_cpu_loras", "kv_cache_tokens"):
        if getattr(template, name) != getattr(Server(), name):
            raise SpecError(f"{getattr(template, name)}: this setting is the planner's to choose", f"server.{name}")


def _plan_on(
    profile: Profile,
    wish: Plan,
    template: Server,
    foresight: Foresight | None,
    time_limit: float | None,
    progress: Progress,
) -> Plan:
    """The wish fulfilled on servers of one profile."""
    started = time.perf_counter()
    deadline = started + (float("inf") if time_limit is None else time_limit)
    search = _Search(profile, wish, template, foresight, deadline, progress)
    plan, capacity, assignments = search.run()
    plan = plan.model_copy(update={"twin_runs": capacity.asked, "guesses": capacity.guessed})
    progress("measuring headroom", 0, 1)
    described = forecast_all(capacity, assignments)
    progress("measuring headroom", 1, 1)
    servers = tuple(
        placed.model_copy(update={"forecast": expected, "choices": choices})
        for placed, (expected, choices) in zip(plan.servers, described, strict=True)
    )
    seconds = round(time.perf_counter() - started, 3)
    return plan.model_copy(update={"servers": servers, "planning_seconds": seconds})


class _Search(NamedTuple):
    """A strategy, verified: tight at first, then with a little safety, then repaired."""

    profile: Profile
    wish: Plan
    template: Server
    foresight: Foresight | None
    deadline: float
    progress: Progress

    def run(self) -> tuple[Plan, Capacity, list[Assignment]]:
        """The verified plan with the fewest servers: filled to the brim if that holds, else the best of what does."""
        found = []
        for safety in (0.0, SAFETY):
            capacity = self._capacity(safety)
            problem = self._problem(capacity)
            assignments = STRATEGIES[self.wish.strategy](problem)
            late = problem.out_of_time  # verification and forecasts come after the search and are not limited
            plan, mended = self._verified(capacity, assignments)
            found.append((plan.model_copy(update={"time_limit_hit": late}), capacity, mended))
            if plan.verified and len(mended) == len(assignments):
                break
        return min(found, key=lambda attempt: (not attempt[0].verified, attempt[0].gpus))

    def _capacity(self, safety: float) -> Capacity:
        raised = (1.0 + _raised(self.wish)) * (1.0 + safety) - 1.0
        workload = self.wish.workload.model_copy(update={"seed": self.wish.seed})
        return Capacity(self.profile, workload, self.template, raised, self.foresight)

    def _problem(self, capacity: Capacity) -> Problem:
        bound = lower_bound([self.profile], self.wish.workload, self.template, _raised(self.wish))
        return Problem(capacity, bound, self.progress, self.deadline)

    def _verified(self, capacity: Capacity, assignments: list[Assignment]) -> tuple[Plan, list[Assignment]]:
        """Verify with fresh seeds; relieve the servers that fail, and verify again."""
        raised = self._problem(self._capacity(REPAIR_HEADROOM))
        for number in range(REPAIRS + 1):
            self.progress("verifying", number, REPAIRS + 1)
            plan = self.wish.model_copy(update={"servers": _placed(capacity.profile, assignments)})
            failing = failing_servers(plan)
            if not failing or number == REPAIRS:
                break
            assignments = repair(raised, assignments, [i for i, s in enumerate(plan.servers) if s.name in failing])
        self.progress("verifying", REPAIRS + 1, REPAIRS + 1)
        return plan.model_copy(update={"verified": not failing}), assignments


def _raised(wish: Plan) -> float:
    """Share of traffic that servers must bear more than there is."""
    return (1.0 + wish.headroom) * (1.0 + wish.margin) - 1.0


def _placed(profile: Profile, assignments: Sequence[Assignment]) -> tuple[PlacedServer, ...]:
    width = len(str(len(assignments) - 1))
    return tuple(
        PlacedServer(name=f"gpu-{i:0{width}}", profile=profile.name, server=a.server, adapters=dict(a.shares))
        for i, a in enumerate(assignments)
    )
