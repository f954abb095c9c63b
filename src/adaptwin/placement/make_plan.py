"""make_plan: a workload on one or several profiles -> a verified Plan."""

import itertools
import math
import time
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from adaptwin.errors import Infeasible, SpecError
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.planner_settings import require_free
from adaptwin.placement.capacity.workload_surrogate import WorkloadSurrogate, workload_surrogate_for
from adaptwin.placement.lower_bound.lower_bound import cost_bound, lower_bound
from adaptwin.placement.objectives.max_throughput import max_throughput
from adaptwin.placement.objectives.min_cost import cost, min_cost
from adaptwin.placement.objectives.min_gpus import min_gpus
from adaptwin.placement.objectives.min_latency import min_latency
from adaptwin.placement.objectives.objective import Goal, Latency, Measure, Objective, Placed
from adaptwin.placement.objectives.slo import slo
from adaptwin.placement.packing.problem import Problem, Strategy
from adaptwin.placement.packing.repair import repair
from adaptwin.placement.spares.spares import with_spares
from adaptwin.placement.strategies.dlora import dlora
from adaptwin.placement.strategies.least_loaded import least_loaded
from adaptwin.placement.strategies.loraserve import loraserve
from adaptwin.placement.strategies.max_base import max_base
from adaptwin.placement.strategies.pack import pack
from adaptwin.placement.strategies.paper_greedy import paper_greedy
from adaptwin.placement.strategies.random_placement import random_placement
from adaptwin.placement.strategies.round_robin import round_robin
from adaptwin.placement.verification.forecast import with_forecasts
from adaptwin.placement.verification.fresh_seeds import failing_servers
from adaptwin.plan.constraints import NO_CONSTRAINTS, Constraints
from adaptwin.plan.latency_limits import LatencyLimits
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.profile.profile import Profile
from adaptwin.progress import Progress, silent
from adaptwin.surrogate.surrogate import Surrogate
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
OBJECTIVES: dict[str, Objective] = {
    "min-gpus": min_gpus,
    "slo": slo,
    "min-cost": min_cost,
    "min-latency": min_latency,
    "max-throughput": max_throughput,
}
GIVEN_GPUS = ("min-latency", "max-throughput")  # objectives for a given number of GPUs
MEASURES: dict[str, Measure] = {"min-cost": cost}  # of the objectives that bring down anything but GPUs
PROMISES = ("min-gpus", "slo", "min-cost", "min-latency")  # objectives whose plans let nobody starve
MOST_SPARE = 8  # GPUs

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
    gpus: int | None = None,
    headroom: float = 0.0,
    margin: float | Literal["profile"] = 0.0,
    ttft_p99: float | None = None,
    itl_p99: float | None = None,
    latency: Latency = "itl",
    constraints: Constraints = NO_CONSTRAINTS,
    spare: int = 0,
    seed: int = 0,
    time_limit: float | None = None,
    server: Server | None = None,
    surrogate: Surrogate | Literal["shipped"] | None = "shipped",
    progress: Progress = silent,
) -> Plan:
    """Place a workload on GPUs, with the settings of each server, and verify the result.

    Args:
        profile_or_profiles: What the GPUs cost; with several, ``min-cost`` mixes them, else all servers are of one.
        workload: Adapters and traffic; its duration is the window over which the twin judges a server.
        objective: ``min-gpus``; ``slo``, the same within bounds on latency; ``min-cost``, the lowest price per hour;
            or for a given number of GPUs ``min-latency``, or ``max-throughput``, which lets adapters starve where there
            are too few.
        strategy: ``pack`` (the default), or to compare with it ``paper_greedy``, ``dlora``, ``loraserve``,
            ``max_base``, ``least_loaded``, ``round_robin`` or ``random``.
        gpus: Their number, for ``min-latency`` and ``max-throughput``.
        headroom: Share of traffic that every GPU must be able to take more: 0.2 is 20 %.
        margin: Safety margin on the twin's predictions, as a share of the traffic. ``"profile"`` takes it from the
            profile's uncertainty of what a full server serves: one real server in twenty serves still less.
        ttft_p99: Seconds within which the first token must come, in 99 of 100 requests of every server.
        itl_p99: Seconds within which the next token must come, in 99 of 100 cases on every server.
        latency: What ``min-latency`` brings down: the worst server's 99th percentile of ``itl`` or of ``ttft``.
        constraints: Adapters pinned to a server, kept apart, or kept together.
        spare: GPUs of which any so many may fail without anybody starving, for objectives that find the number of GPUs.
            Those that are left take the adapters in, with headroom and margin as asked for, or else the spare ones
            stand by; `Plan.failover` says who goes where.
        seed: Of the planner's draws; verification takes others.
        time_limit: Seconds of search; then the best placement so far is verified, and the plan says so.
        server: Settings common to all servers; slots and ranks are the planner's.
        surrogate: Predictors that answer where they are sure, so that the twin is asked less; by default the shipped
            ones. None asks the twin everything. The plan is verified by the twin in any case.
        progress: Told what is being done, and how much of it.

    Raises:
        Infeasible: Some adapter cannot be served at all, or the GPUs given do not suffice; the message says what binds.
        SpecError: An unknown objective, strategy or adapter, a value out of range, a workload without adapters, or for
            ``min-cost`` a profile without a price.
    """
    profiles = [profile_or_profiles] if isinstance(profile_or_profiles, Profile) else list(profile_or_profiles)
    template = server or Server()
    bounds = LatencyLimits(ttft_p99=ttft_p99, itl_p99=itl_p99)
    _require_known(objective, strategy, workload, headroom, margin)
    _require_gpus(objective, gpus)
    _require_latency(latency)
    _require_spare(objective, spare)
    if not profiles:
        raise SpecError("none is given", "profile")
    require_free(template)
    constraints.require_known(workload)
    if constraints and strategy != "pack":
        raise SpecError(f"{strategy} knows no constraints: plan with pack", "strategy")
    compile_twin()
    margins = {profile.name: _margin(margin, profile) for profile in profiles}
    least = (1.0 + headroom) * (1.0 + min(margins.values())) - 1.0
    wish = Plan.model_construct(
        objective=objective,
        strategy=strategy,
        seed=seed,
        headroom=headroom,
        bounds=bounds,
        constraints=constraints,
        spare=spare,
        lower_bound=lower_bound(profiles, workload, template, least) + spare,
        cost_bound=_cost_bound(profiles, workload, template, least, spare),
        servers=(),
        profiles=tuple(profiles),
        workload=workload,
    )
    deadline = time.perf_counter() + (math.inf if time_limit is None else time_limit)
    goal = Goal(STRATEGIES[strategy], gpus, latency)
    foresights = {profile.name: workload_surrogate_for(surrogate, profile, workload, template) for profile in profiles}
    return _Planning(wish, goal, margins, template, foresights, deadline, progress).run()


def _margin(asked: float | Literal["profile"], profile: Profile) -> float:
    """The margin as a share of the traffic; raises `SpecError` where the profile cannot tell."""
    if asked != "profile":
        return asked
    if not profile.spread:
        raise SpecError(f"profile {profile.name} does not know its uncertainty: give the margin as a share", "margin")
    capacity = max(spread.throughput for spread in profile.spread)  # of starved servers: the others serve what comes
    return math.exp(ONE_IN_TWENTY * capacity) - 1.0


def _cost_bound(
    profiles: Sequence[Profile], workload: Workload, template: Server, headroom: float, spare: int
) -> float | None:
    """What is left when spare GPUs fail costs at least so much, and they are of the cheapest kind at best."""
    prices = [profile.price_per_hour for profile in profiles if profile.price_per_hour is not None]
    if len(prices) < len(profiles):
        return None
    return cost_bound(profiles, workload, template, headroom) + spare * min(prices)


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


def _require_gpus(objective: str, gpus: int | None) -> None:
    if objective in GIVEN_GPUS and gpus is None:
        raise SpecError(f"missing: {objective} is for a given number of GPUs", "gpus")
    if objective not in GIVEN_GPUS and gpus is not None:
        raise SpecError(f"{gpus}: {objective} finds their number; only {', '.join(GIVEN_GPUS)} take it", "gpus")
    if gpus is not None and gpus < 1:
        raise SpecError(f"{gpus} must be at least 1", "gpus")


def _require_latency(latency: str) -> None:
    if latency not in get_args(Latency):
        raise SpecError(f"{latency!r} is not one of {', '.join(get_args(Latency))}", "latency")


def _require_spare(objective: str, spare: int) -> None:
    if not 0 <= spare <= MOST_SPARE:
        raise SpecError(f"{spare} must be from 0 to {MOST_SPARE}", "spare")
    if spare and objective in GIVEN_GPUS:
        raise SpecError(f"{spare}: {objective} is for a given number of GPUs, all of which serve", "spare")


class _Planning(NamedTuple):
    """An objective met by a strategy, and verified: tight at first, then with a little safety, then repaired."""

    wish: Plan
    goal: Goal
    margins: dict[str, float]  # by profile
    template: Server
    foresights: dict[str, WorkloadSurrogate | None]
    deadline: float
    progress: Progress

    def run(self) -> Plan:
        """The best verified plan, by fewest servers or price: filled to the brim if that holds, else of what does."""
        started = time.perf_counter()
        found: list[tuple[Plan, list[Placed]]] = []
        searched = 0.0
        for safety in (0.0, SAFETY):
            begun = time.perf_counter()
            problems = self._problems(safety)
            try:
                servers = OBJECTIVES[self.wish.objective](problems, self.goal)
            except Infeasible:
                if found:
                    break
                raise
            searched += time.perf_counter() - begun
            late = problems[0].out_of_time  # verification and forecasts come after the search and are not limited
            plan, mended = self._verified(servers)
            counts = {
                "twin_runs": sum(problem.capacity.asked for problem in problems),
                "guesses": sum(problem.capacity.guessed for problem in problems),
            }
            found.append((plan.model_copy(update={"time_limit_hit": late, **counts}), mended))
            if self.wish.objective not in PROMISES or (plan.verified and len(mended) == len(servers)):
                break
        measure = MEASURES.get(self.wish.objective, len)
        plan, servers = min(found, key=lambda attempt: (not attempt[0].verified, measure(attempt[1]), attempt[0].gpus))
        if plan.spare:
            plan, servers = with_spares(plan, servers, self._plan)
        asked = ((placed.problem.capacity, placed.assignment) for placed in servers)
        plan = with_forecasts(plan, asked, self.progress)
        seconds = {"planning_seconds": time.perf_counter() - started, "search_seconds": searched}
        return plan.model_copy(update={name: round(value, 3) for name, value in seconds.items()})

    def _problems(self, safety: float) -> list[Problem]:
        """The workload on each profile, with headroom, margin and so much more traffic."""
        workload = self.wish.workload.model_copy(update={"seed": self.wish.seed})
        problems = []
        for profile in self.wish.profiles:
            asked = (1.0 + self.wish.headroom) * (1.0 + self.margins[profile.name]) - 1.0
            raised = (1.0 + asked) * (1.0 + safety) - 1.0
            foresight = self.foresights[profile.name]
            capacity = Capacity(profile, workload, self.template, raised, foresight, self.wish.bounds)
            bound = lower_bound([profile], self.wish.workload, self.template, asked)
            problems.append(Problem(capacity, bound, self.progress, self.deadline, self.wish.constraints))
        return problems

    def _verified(self, servers: list[Placed]) -> tuple[Plan, list[Placed]]:
        """Verify with fresh seeds; relieve the servers that fail, and verify again."""
        fixed = self.goal.gpus is not None
        repairs = 0 if self.wish.objective not in PROMISES else REPAIRS
        raised = {problem.capacity.profile.name: problem for problem in self._problems(REPAIR_HEADROOM)}
        for number in range(repairs + 1):
            self.progress("verifying", number, repairs + 1)
            plan = self._plan(servers)
            failing = failing_servers(plan)
            if not failing or number == repairs:
                break
            mended = _repaired(raised, servers, {i for i, s in enumerate(plan.servers) if s.name in failing})
            if fixed and len(mended) > len(servers):
                break
            servers = mended
        self.progress("verifying", repairs + 1, repairs + 1)
        return plan.model_copy(update={"verified": not failing}), servers

    def _plan(self, servers: Sequence[Placed]) -> Plan:
        names = _names(servers, self.wish.constraints)
        placed = tuple(
            PlacedServer(name=name, profile=profile.name, server=assignment.server, adapters=dict(assignment.shares))
            for name, (problem, assignment) in zip(names, servers, strict=True)
            for profile in [problem.capacity.profile]
        )
        used = {server.profile for server in placed}
        margin = max((self.margins[name] for name in used), default=0.0)
        return self.wish.model_copy(update={"servers": placed, "margin": margin})


def _repaired(raised: dict[str, Problem], servers: Sequence[Placed], failing: set[int]) -> list[Placed]:
    """The servers of each profile with those that fail relieved onto others of it, in their order; new ones last."""
    mended: list[Placed] = []
    for profile in dict.fromkeys(placed.problem.capacity.profile.name for placed in servers):
        own = [i for i, placed in enumerate(servers) if placed.problem.capacity.profile.name == profile]
        bad = [at for at, i in enumerate(own) if i in failing]
        assignments = [servers[i].assignment for i in own]
        after = repair(raised[profile], assignments, bad) if bad else assignments
        mended += [Placed(servers[own[0]].problem, assignment) for assignment in after]
    return mended


def _names(servers: Sequence[Placed], constraints: Constraints) -> list[str]:
    """``gpu-0`` and so on; a server with adapters pinned to it has the name that they are pinned to."""
    width = len(str(len(servers) - 1))
    pinned = [
        next((constraints.pinned[name] for name in placed.assignment.shares if name in constraints.pinned), None)
        for placed in servers
    ]
    free = (name for i in itertools.count() if (name := f"gpu-{i:0{width}}") not in pinned)
    return [name or next(free) for name in pinned]
