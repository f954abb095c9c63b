"""find_plan: search for servers, verify and repair them, and search again with a safety factor if need be."""

import math
import re
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, NamedTuple

from adaptwin.errors import Infeasible, SpecError
from adaptwin.placement.alike import stand_ins
from adaptwin.placement.alternatives import alternatives
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.planner_settings import require_free, settings_range
from adaptwin.placement.capacity.shorter_requests import require_startable_length, with_startable_length
from adaptwin.placement.capacity.template_choice import ChosenTemplate, template_and_surrogate
from adaptwin.placement.caution import (
    CONFIDENCE_FACTORS,
    GROWTH_SHARE,
    REPAIR_FACTOR,
    REPAIR_ROUNDS,
    SECOND_SEARCH_FACTOR,
)
from adaptwin.placement.configurations.estimate import estimated_optimum
from adaptwin.placement.lower_bound.lower_bound import cost_bound_if_priced, lower_bound, servers_bound
from adaptwin.placement.lower_bound.settings_range import SettingsRange
from adaptwin.placement.margins import margin_of
from adaptwin.placement.objectives.objective import Asked, Placed, PlaceOnProfiles
from adaptwin.placement.objectives.registry import Objective, objective_named
from adaptwin.placement.packing.problem import Problem
from adaptwin.placement.repairs import Repairs
from adaptwin.placement.requirements import priced, require_possible
from adaptwin.placement.settling import with_moves, with_quick_settings, worst_latency
from adaptwin.placement.spares.spares import with_spares
from adaptwin.placement.strategies.registry import Strategy, strategy_named
from adaptwin.placement.verification.confidence import with_confidence
from adaptwin.placement.verification.decisions import with_decisions
from adaptwin.placement.verification.forecast import with_forecasts
from adaptwin.placement.verification.stress import with_stress_sample
from adaptwin.plan.long_requests import require_short_enough
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import PlacedServer, Plan, unplaced
from adaptwin.plan.server_names import server_names
from adaptwin.profile.memory import GIB
from adaptwin.profile.profile import Profile
from adaptwin.progress import Progress, silent
from adaptwin.surrogate.compilation import compile_planning
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.twin.server import Server
from adaptwin.workload.workload import Workload


def find_plan(
    profiles: Sequence[Profile],
    workload: Workload,
    options: PlanOptions,
    *,
    strategy: Strategy | None = None,
    seed: int = 0,
    server: Server | None = None,
    surrogate: Surrogate | Literal["shipped"] | None = "shipped",
    progress: Progress = silent,
    taken: Collection[str] = (),
    described: bool = True,
) -> Plan:
    """Find a verified plan with these options.

    See `make_plan` for the arguments. If `strategy` is given, it is used instead of the one that the options name. No
    server gets a name in `taken`, which servers of other plans of the same fleet have. If the plan is not to be
    described, its servers are found and verified only: they are not made quicker, and there are no forecasts,
    alternatives, estimates and stress sample.

    Raises:
        Infeasible: Some adapter cannot be served at all, or the given GPUs do not suffice; the message names the cause.
        SpecError: The options contradict each other, the profiles or the workload.
    """
    objective, given = objective_named(options.objective), server or Server()
    strategy = strategy or strategy_named(options.strategy)
    require_possible(profiles, workload, options, objective, strategy)
    require_free(given)
    if objective.promises:
        require_short_enough(workload, given.max_model_len or max(p.model.max_model_len for p in profiles))
    compile_planning(progress, predicts=surrogate is not None)
    profiles = priced(profiles, options)
    margins = {profile.name: margin_of(options.margin, profile) for profile in profiles}
    least = (1.0 + options.headroom) * (1.0 + min(margins.values()))
    startable = with_startable_length(given, profiles, workload)
    require_startable_length(startable, profiles, workload)
    possible = settings_range(startable, profiles)
    draft = Plan.model_construct(
        options=options,
        seed=seed,
        settings=given,
        goal=objective.goal,
        promises=objective.promises,
        lower_bound=lower_bound(
            profiles,
            workload,
            possible,
            least,
            spare=options.spare,
            mixed=objective.mixes and strategy.packs,
            allow_merged=options.allow_merged,
        ),
        cost_bound=cost_bound_if_priced(
            profiles, workload, possible, least, spare=options.spare, allow_merged=options.allow_merged
        ),
        servers=(),
        profiles=tuple(profiles),
        workload=workload,
    )
    deadline = time.perf_counter() + (math.inf if options.time_limit is None else options.time_limit)
    templates = {
        profile.name: template_and_surrogate(
            profile,
            workload,
            startable,
            (1.0 + options.headroom) * (1.0 + margins[profile.name]),
            options.latency_limits,
            surrogate,
            seed,
        )
        for profile in profiles
    }
    return _Planner(
        draft, objective, strategy, margins, templates, possible, deadline, progress, taken, described
    ).plan()


class _Attempt(NamedTuple):
    """A plan that was searched for and verified."""

    plan: Plan
    servers: list[Placed]  # the servers of the plan, with their problems
    seconds: float  # of search
    grew: bool  # whether repair changed the number of servers that the search had found by some per cent

    @property
    def is_good(self) -> bool:
        """Whether no other search is needed."""
        return not self.plan.promises or (self.plan.verified and not self.grew)


@dataclass(frozen=True, slots=True)
class _Planner:
    """One search for a plan. The draft holds everything in the plan but what the search finds."""

    draft: Plan
    objective: Objective
    strategy: Strategy
    margins: dict[str, float]  # by profile
    templates: dict[str, ChosenTemplate]  # by profile
    possible: SettingsRange  # of all servers
    deadline: float  # on the clock of `time.perf_counter`
    progress: Progress
    taken: Collection[str]  # names of servers of other plans
    described: bool  # whether the plan is to be described, and its servers to be quick

    def plan(self) -> Plan:
        """Return the best plan, verified if possible, with spares; with forecasts and more if it is to be described."""
        started = time.perf_counter()
        attempts = self._attempts()
        best = min(attempts, key=self._rank)
        plan, servers = best.plan, best.servers
        if plan.options.spare:
            plan, servers = with_spares(plan, servers, self._plan_of, shared=self.strategy.packs, taken=self.taken)
            plan = with_confidence(plan, self.progress)
        plan = self._with_description(plan, servers) if self.described else plan
        seconds = {
            "planning_seconds": time.perf_counter() - started,
            "search_seconds": sum(attempt.seconds for attempt in attempts),
        }
        by_name = tuple(sorted(plan.servers, key=_place_in_list))  # pins name servers out of order
        rounded = {name: round(value, 3) for name, value in seconds.items()}
        return plan.model_copy(update={"servers": by_name, **rounded})

    def _with_description(self, plan: Plan, servers: Sequence[Placed]) -> Plan:
        """Return the plan with forecasts and all else that is told of it."""
        assigned = [(each.problem.capacity, each.assignment) for each in servers]
        plan = with_decisions(with_forecasts(plan, assigned, self.progress), assigned, self.progress)
        plan = plan.model_copy(
            update={
                "alternatives": tuple(alternatives(plan, servers, self.objective, self.strategy)),
                "estimated_optimum": self._estimated_optimum(plan, servers),
            }
        )
        return with_stress_sample(plan, self.progress)

    def _estimated_optimum(self, plan: Plan, servers: Sequence[Placed]) -> float | None:
        """Return an estimate of the fewest GPUs; None where the bound is met, or the linear program knows no such plan.

        No estimate is above the GPUs of a plan that is verified.
        """
        problems = {id(each.problem): each.problem for each in servers}
        has_merged = any(each.assignment.server.merged for each in servers)
        if plan.goal != "gpus" or plan.gpus <= plan.lower_bound or len(problems) > 1 or has_merged:
            return None
        problem = servers[0].problem
        if problem.capacity.factor > plan.factor:  # the search had a safety factor, which is not part of what is asked
            profile = problem.capacity.profile.name
            problem = next(each for each in self._problems(1.0) if each.capacity.profile.name == profile)
        shares = [each.assignment.shares for each in servers] if plan.verified else []
        estimate = None if problem.out_of_time else estimated_optimum(problem, shares)
        if estimate is None:
            return None
        return round(problem.capacity.profile.tensor_parallel_size * (estimate + plan.options.spare), 2)

    def _rank(self, attempt: _Attempt) -> tuple[bool, float, float, int, bool, float]:
        """Sort key: verified plans first, then what the objective optimises, GPUs, servers as found, and latency.

        Of plans that do not hold as often as asked for, the one that holds most often is best. A server that repair
        added has little to do, and those beside it are at their limit.
        """
        latency = worst_latency(attempt.servers, self.draft.options.latency)
        if self.objective.goal == "latency":
            return not attempt.plan.verified, 0.0, latency, 0, attempt.grew, 0.0
        measure, confidence = self.objective.measure(attempt.servers), attempt.plan.confidence
        missing = 0.0 if confidence is None or confidence.reached else 1.0 - confidence.fleet.share
        return not attempt.plan.verified, missing, measure, attempt.plan.gpus, attempt.grew, latency

    def _attempts(self) -> list[_Attempt]:
        """Search with servers filled to their limit and, if these do not hold as found, also with a safety factor.

        Where the number of GPUs is given, and neither search holds or time has run out, the fewest GPUs are searched
        for, too: a plan with GPUs to spare is better than one that does not hold. Where a confidence is asked for, the
        safety factor rises until it is reached.
        """
        attempts = [self._attempt(1.0, self.objective.place)]
        if not attempts[0].is_good:
            with suppress(Infeasible):
                attempts.append(self._attempt(SECOND_SEARCH_FACTOR, self.objective.place))
        for safety in CONFIDENCE_FACTORS if self.draft.options.confidence is not None else ():
            if any(attempt.plan.verified for attempt in attempts) or attempts[-1].plan.time_limit_hit:
                break
            with suppress(Infeasible):
                attempts.append(self._attempt(safety, self.objective.place))
        is_good = any(attempt.plan.verified and not attempt.plan.time_limit_hit for attempt in attempts)
        if self.objective.given_gpus and self.objective.promises and not is_good:
            with suppress(Infeasible):
                fewest = self._attempt(1.0, objective_named("min-gpus").place)
                attempts += [fewest] if fewest.plan.gpus <= (self.draft.options.gpus or 0) else []
        return attempts

    def _attempt(self, safety: float, place: PlaceOnProfiles) -> _Attempt:
        """Search for servers that sustain `safety` times the traffic; verify and repair them at the traffic itself."""
        begun = time.perf_counter()
        problems = self._problems(safety)
        found = place(problems, Asked(self.strategy, self.draft.options))
        late = problems[0].out_of_time  # settings, verification and forecasts come after it and are not limited
        arrangements = [found] if late or not self.described else self._arrangements(found)
        seconds = time.perf_counter() - begun
        repairs = Repairs(
            self._plan_of,
            {problem.capacity.profile.name: problem for problem in self._problems(REPAIR_FACTOR)},
            REPAIR_ROUNDS if self.draft.promises else 0,
            self.progress,
            may_grow=not self.objective.given_gpus,
        )
        plan, servers = repairs.verified(arrangements)
        counts = {
            "twin_runs": sum(problem.capacity.twin_runs for problem in problems),
            "predictions": sum(problem.capacity.predictions for problem in problems),
        }
        plan = with_confidence(plan.model_copy(update={"time_limit_hit": late, **counts}), self.progress)
        return _Attempt(plan, servers, seconds, grew=abs(len(servers) - len(found)) > GROWTH_SHARE * len(found))

    def _problems(self, safety: float) -> list[Problem]:
        """Return a problem for each profile: the workload with headroom and margin, and `safety` times the traffic."""
        workload = self.draft.workload.model_copy(update={"seed": self.draft.seed})
        options = self.draft.options
        problems = []
        for profile in self.draft.profiles:
            asked = (1.0 + options.headroom) * (1.0 + self.margins[profile.name])
            capacity = Capacity(
                profile,
                workload,
                self.templates[profile.name].template,
                asked * safety,
                self.templates[profile.name].surrogate,
                options.latency_limits,
                math.inf if options.host_memory_gib is None else options.host_memory_gib * GIB,
            )
            merged = options.allow_merged
            bound = servers_bound(profile, self.draft.workload, self.possible, asked, allow_merged=merged)
            problems.append(Problem(capacity, bound, self.progress, self.deadline, options.constraints))
        return problems

    def _arrangements(self, found: list[Placed]) -> list[list[Placed]]:
        """Return ways to spend the room of as many servers, the one with the lowest latency first, and as found."""
        given, latency = self.draft.settings, self.draft.options.latency
        self.progress("choosing settings", 0, 1)
        quick = with_quick_settings(found, given, latency)
        moves = self.strategy.packs and not self.objective.given_gpus
        moved = with_moves(found, quick, given, latency) if moves else None
        self.progress("choosing settings", 1, 1)
        return [moved, quick, found] if moved else [quick, found]

    def _plan_of(self, servers: Sequence[Placed]) -> Plan:
        """Return the draft with these servers."""
        pinned = self.draft.options.constraints.pinned
        names = server_names([placed.assignment.shares for placed in servers], pinned, self.taken)
        standing = stand_ins([placed.assignment for placed in servers])
        placed_servers = tuple(
            PlacedServer(
                name=name,
                profile=problem.capacity.profile.name,
                server=assignment.server,
                adapters=dict(assignment.shares),
                like=None if standing[index] == index else names[standing[index]],
            )
            for index, (name, (problem, assignment)) in enumerate(zip(names, servers, strict=True))
        )
        for name, share in unplaced(self.draft.workload, placed_servers).items():
            raise SpecError(f"{self.draft.options.strategy} places {share:g} of {name!r} instead of 1", "strategy")
        used = {server.profile for server in placed_servers}
        margin = max((self.margins[name] for name in used), default=0.0)
        return self.draft.model_copy(update={"servers": placed_servers, "margin": margin})


def _place_in_list(server: PlacedServer) -> tuple[bool, list[tuple[int, str]]]:
    """Sort key: standbys last, then by name, where the numbers in a name count as numbers."""
    parts = re.split(r"(\d+)", server.name)
    return server.is_standby, [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
