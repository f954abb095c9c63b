"""replan: a plan for a changed workload that changes the running fleet as little as is worthwhile.

Adapters stay where they are, and new adapters go where they fit. A server that can no longer serve its adapters is
relieved of some or restarts with other settings. Servers that are not needed are given up. Where a server is started,
or one is at its limit beside one with much room, the fullest servers are relieved (`balancing`). Where a new plan from
scratch could be worth its many moves, it is tried, too. The plan chosen has the lowest cost: its number of GPUs plus
the cost of moves and restarts, in GPUs.
"""

import math
import time
from collections.abc import Collection
from typing import Literal, NamedTuple

from adaptwin.errors import Infeasible, SpecError
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.planner_settings import settings_range
from adaptwin.placement.capacity.shorter_requests import with_startable_length
from adaptwin.placement.capacity.template_choice import template_and_surrogate
from adaptwin.placement.caution import REPAIR_FACTOR, REPAIR_ROUNDS
from adaptwin.placement.lower_bound.lower_bound import cost_bound_if_priced, servers_bound
from adaptwin.placement.packing.dedicated import with_dedicated
from adaptwin.placement.packing.problem import Assignment, Problem, items_to_place
from adaptwin.placement.spares.standby import with_standbys
from adaptwin.placement.strategies.registry import STRATEGIES
from adaptwin.placement.verification.confidence import with_confidence
from adaptwin.placement.verification.decisions import with_decisions
from adaptwin.placement.verification.forecast import with_forecasts
from adaptwin.placement.verification.fresh_seeds import Verifications, verification_seeds
from adaptwin.placement.verification.stress import with_stress_sample
from adaptwin.plan.plan import Plan
from adaptwin.plan.served_adapters import require_servable
from adaptwin.plan.server_names import new_name
from adaptwin.profile.memory import GIB
from adaptwin.progress import Progress, silent
from adaptwin.replanning.balancing import GROWTH_RATIO, Balanced, balance, growth_of, together
from adaptwin.replanning.costs import MOVE_COST, RESTART_COST
from adaptwin.replanning.matching import matched_names
from adaptwin.replanning.ordering import migration
from adaptwin.replanning.rearrangement import Prices, Rearrangement, Running, ServerContents, serves
from adaptwin.replanning.relief import relieved, repaired
from adaptwin.surrogate.compilation import compile_planning
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.twin.verdict import require_long_enough
from adaptwin.workload.demand.mean_lengths import tokens_per_adapter
from adaptwin.workload.workload import Workload

SERVERS_TO_GIVE_UP = 3  # of the emptiest servers, how many are candidates for removal
MOVED_SHARE_AFRESH = 0.5  # share of the adapters that a plan from scratch usually moves, at least


def replan(
    plan: Plan,
    workload: Workload,
    *,
    move_cost: float = MOVE_COST,
    restart_cost: float = RESTART_COST,
    seed: int | None = None,
    time_limit: float | None = None,
    surrogate: Surrogate | Literal["shipped"] | None = "shipped",
    progress: Progress = silent,
    taken: Collection[str] = (),
    describe: bool = True,
) -> Plan:
    """Find a plan for a changed workload that changes little of the running plan, and the steps from one to the other.

    Strategy, headroom, margin and profile are those of the running plan, and so are the settings that it was given.
    Servers keep theirs as long as they run; those that restart and new ones get settings that suit them best. A server
    with merged weights keeps its adapter; it serves another one only after a restart without merged weights. The new
    plan is verified by simulation, as in `make_plan`. Its `migration` has the steps. Servers that stay keep their
    names. If the running plan has spare GPUs, the new one has standbys.

    Args:
        plan: The plan that runs.
        workload: The new adapters and their traffic. Adapters with the same name are the same adapter.
        move_cost: Cost of moving an adapter that is served now, in GPUs. By default, 100 moves cost as much as a GPU.
        restart_cost: Cost of restarting a server with other settings, in GPUs.
        seed: Seed of every random draw; by default the plan's.
        time_limit: Seconds after which the search tries no further improvements.
        surrogate: The surrogate that answers where it is confident, as for `make_plan`.
        progress: Called with the current stage, the work done and the total work.
        taken: Names of servers of other plans of the same fleet, which new servers do not get.
        describe: Whether to find the forecasts, the headroom and what the settings gain, which takes about as long as
            the search; without, `described_plan` finds them later.

    Raises:
        Infeasible: Some adapter cannot be served at all; the message names it and what prevents it.
        SpecError: The plan has no servers or several profiles, the workload has no adapters, or a cost is negative.
    """
    prices = Prices(move_cost, restart_cost)
    _require_sound(plan, workload, prices)
    compile_planning(progress, predicts=surrogate is not None)
    started = time.perf_counter()
    deadline = started + (math.inf if time_limit is None else time_limit)
    running = without_standbys(plan)
    search = _ReplanSearch.of(
        running, workload, prices, plan.seed if seed is None else seed, surrogate, deadline, progress, taken
    )
    found = search.run(describe=describe)
    options = found.options.model_copy(update={"spare": plan.options.spare, "time_limit": time_limit})
    found = found.model_copy(update={"options": options, "cost_bound": _cost_bound_with_spares(plan, workload)})
    if options.spare:
        spare_gpus = options.spare * running.gpus_of(running.servers[0])
        steps = found.migration and found.migration.model_copy(update={"gpus_before": plan.gpus})
        update = {"lower_bound": found.lower_bound + spare_gpus, "migration": steps}
        found = with_standbys(found, taken).model_copy(update=update)
    return found.model_copy(update={"planning_seconds": round(time.perf_counter() - started, 3)})


def described_plan(
    plan: Plan, *, surrogate: Surrogate | Literal["shipped"] | None = "shipped", progress: Progress = silent
) -> Plan:
    """Return a plan with forecasts, decisions and a sample of stress, which `replan` may leave out; no server changes.

    Args:
        plan: The plan, as `replan` finds it.
        surrogate: The surrogate that answers where it is confident, as for `make_plan`.
        progress: Called with the current stage, the work done and the total work.
    """
    serving, prices = without_standbys(plan), Prices(MOVE_COST, RESTART_COST)
    search = _ReplanSearch.of(serving, plan.workload, prices, plan.seed, surrogate, math.inf, progress, ())
    found = search.described(serving)
    update = {"servers": (*found.servers, *plan.standbys), "options": plan.options, "failover": plan.failover}
    return found.model_copy(update=update)


def without_standbys(plan: Plan) -> Plan:
    """Return the plan without its standbys, which do not run."""
    options = plan.options.model_copy(update={"spare": 0})
    return plan.model_copy(update={"servers": plan.serving, "options": options, "failover": ()})


def _require_sound(plan: Plan, workload: Workload, prices: Prices) -> None:
    if not plan.servers:
        raise SpecError("the plan has none: there is no running fleet to change", "servers")
    names = sorted({server.profile for server in plan.servers})
    if len(names) > 1:
        raise SpecError(f"run on {', '.join(names)}: only plans on one profile can be changed", "servers")
    if not workload.adapters:
        raise SpecError("lists no adapter", "adapters")
    require_long_enough(workload)
    require_servable(workload, plan.profiles)
    for name, price in zip(("move_cost", "restart_cost"), prices, strict=True):
        if not 0 <= price < math.inf:
            raise SpecError(f"{price} must be at least 0", name)


def _cost_bound_with_spares(plan: Plan, workload: Workload) -> float | None:
    """Return a lower bound on the price per hour of the new fleet, spare servers included; None if it is unknown."""
    options, startable = plan.options, with_startable_length(plan.settings, plan.profiles, workload)
    possible = settings_range(startable, plan.profiles)
    return cost_bound_if_priced(
        plan.profiles, workload, possible, plan.factor, spare=options.spare, allow_merged=options.allow_merged
    )


class _ReplanSearch(NamedTuple):
    """The search for a verified plan, from the running fleet."""

    running: Running
    draft: Plan

    @classmethod
    def of(
        cls,
        plan: Plan,
        workload: Workload,
        prices: Prices,
        seed: int,
        surrogate: Surrogate | Literal["shipped"] | None,
        deadline: float,
        progress: Progress,
        taken: Collection[str],
    ) -> "_ReplanSearch":
        """Prepare a search in which every server must keep the headroom and margin of the running plan."""
        profile, options = plan.profile_of(plan.servers[0]), plan.options
        drawn, constraints = workload.model_copy(update={"seed": seed}), options.constraints.among(workload)
        startable = with_startable_length(plan.settings, plan.profiles, workload)
        template, known = template_and_surrogate(
            profile, workload, startable, plan.factor, options.latency_limits, surrogate, seed
        )
        host_limit = math.inf if options.host_memory_gib is None else options.host_memory_gib * GIB
        capacity, roomy = (
            Capacity(profile, drawn, template, plan.factor * factor, known, options.latency_limits, host_limit)
            for factor in (1.0, REPAIR_FACTOR)
        )
        possible, merged = settings_range(startable, plan.profiles), options.allow_merged
        bound = servers_bound(profile, workload, possible, plan.factor, allow_merged=merged)
        update = {
            "workload": workload,
            "seed": seed,
            "lower_bound": bound * profile.tensor_parallel_size,
            "options": options.model_copy(update={"constraints": constraints}),
            "servers": (),
            "alternatives": (),
            "estimated_optimum": None,
            "verified_servers": None,
            "confidence": None,
            "verified": False,
            "verified_seeds": (),
            "stress": None,
            "migration": None,
            "time_limit_hit": False,
            "search_seconds": 0.0,
        }
        draft = plan.model_copy(update=update)
        problem = Problem(capacity, bound, progress, deadline, constraints)
        return cls(Running.of(plan, problem, roomy, prices, taken), draft)

    def run(self, *, describe: bool) -> Plan:
        """Return the plan with the lowest cost, verified and, if it is to be described, with forecasts."""
        progress = self.running.problem.progress
        progress("rearranging", 0, 3)
        fleet = self._with_newcomers(repaired(self._carried_over(), self._changed()))
        progress("rearranging", 1, 3)
        fleet = self._with_fewer(fleet)
        progress("rearranging", 2, 3)
        afresh = self._afresh() if self._afresh_may_pay(fleet) else []
        ways = [self._balanced(fleet), *(Balanced(way, None) for way in afresh)]
        progress("rearranging", 3, 3)
        late = self.running.problem.out_of_time
        cheapest = self._cheapest(ways)
        return (self.described(cheapest) if describe else cheapest).model_copy(update={"time_limit_hit": late})

    def _cheapest(self, ways: list[Balanced]) -> Plan:
        """Verify and repair the arrangements, and return the cheapest verified plan, or else the cheapest plan."""
        found: list[tuple[bool, float, Plan]] = []
        for way in sorted(ways, key=lambda way: way.fleet.cost()):
            if not any(plan.verified and cost <= way.fleet.cost() for _, cost, plan in found):
                plan, cost = self._verified(way)
                found.append((not plan.verified, cost, plan))
        return min(found, key=lambda attempt: attempt[:2])[2]

    def _balanced(self, fleet: Rearrangement) -> Balanced:
        """Return the fleet with its fullest servers relieved where a server was started or is nearly idle."""
        self.running.problem.progress("balancing", 0, 1)
        found = balance(fleet, self._strained(fleet))
        self.running.problem.progress("balancing", 1, 1)
        return found

    def _strained(self, fleet: Rearrangement) -> list[str]:
        """Return the running servers with more tokens/s than before."""
        before, after = map(tokens_per_adapter, (self.running.plan.workload, self.draft.workload))
        had = {
            server.name: sum(share * before[name] for name, share in server.adapters.items())
            for server in self.running.plan.servers
        }
        return [
            name
            for name, server in fleet.contents.items()
            if name in had and sum(share * after[n] for n, share in server.shares.items()) > had[name]
        ]

    def _carried_over(self) -> Rearrangement:
        """Return the running fleet with the adapters that the new workload still has."""
        still = set(self.running.capacity.names)
        return Rearrangement(
            self.running,
            {
                server.name: ServerContents(
                    server.server, {n: share for n, share in server.adapters.items() if n in still}
                )
                for server in self.running.plan.servers
            },
        )

    def _changed(self) -> list[str]:
        """Return the servers whose traffic is not the one that they were verified with."""
        plan, workload = self.running.plan, self.draft.workload
        still = set(self.running.capacity.names)
        kept = [{n: share for n, share in server.adapters.items() if n in still} for server in plan.servers]
        before, after = plan.workload.parts(kept, 0), workload.parts((server.adapters for server in plan.servers), 0)
        return [
            server.name
            for server, one, other in zip(plan.servers, before, after, strict=True)
            if not plan.verified or one.model_copy(update={"seed": other.seed}) != other
        ]

    def _with_newcomers(self, fleet: Rearrangement) -> Rearrangement:
        """Return the fleet with every adapter placed; a new adapter with too much traffic for one server is split."""
        fleet.unplaced += [
            item for item in items_to_place(self.running.problem) if item.name not in self.running.routes
        ]
        return fleet.housed()

    def _with_fewer(self, fleet: Rearrangement) -> Rearrangement:
        """Return the fleet without the servers whose adapters can move to others for less than the cost of its GPUs.

        The others must keep some headroom: what is saved is not worth a fleet at its limit.
        """
        while self._needed(fleet) < len(fleet.contents) and (fewer := self._one_fewer(fleet)) is not None:
            fleet = fewer
        return fleet

    def _one_fewer(self, fleet: Rearrangement) -> Rearrangement | None:
        for name in sorted(fleet.contents, key=lambda name: (fleet.load_of(name), name))[:SERVERS_TO_GIVE_UP]:
            if self.running.problem.out_of_time:
                break
            trial = fleet.without(name)
            moves_cost = len(trial.unplaced) * self.running.prices.move
            too_few = len(trial.contents) < self.running.problem.lower_bound
            if too_few or moves_cost >= self.running.gpus_per_server:
                continue
            trial.careful = True
            trial.settle()
            trial.settle_with_restarts()
            trial.careful = False
            if not trial.unplaced and trial.cost() < fleet.cost():
                return trial
        return None

    def _afresh_may_pay(self, fleet: Rearrangement) -> bool:
        """Whether a plan from scratch could save GPUs that are worth more than the moves that it usually takes.

        Such a plan is not tried where adapters are pinned, because then servers must keep their names, nor where the
        strategy was a function, because the plan holds only its name.
        """
        is_known = self.draft.options.strategy in STRATEGIES
        if not is_known or self.running.problem.out_of_time or self.running.problem.constraints.pinned:
            return False
        staying = sum(name in self.running.routes for name in self.running.capacity.names)
        paid = self.running.prices.move * MOVED_SHARE_AFRESH * staying
        return fleet.cost() - self._needed(fleet) * self.running.gpus_per_server > paid

    def _needed(self, fleet: Rearrangement) -> int:
        """Estimate how many servers would suffice if each were filled to its limit; at least the lower bound."""
        loads = [fleet.load_of(name) for name in fleet.contents]
        limits = [
            load * GROWTH_RATIO * growth_of(fleet, name) for load, name in zip(loads, fleet.contents, strict=True)
        ]
        return max(self.running.problem.lower_bound, math.ceil(len(loads) * sum(loads) / max(sum(limits), 1e-9)))

    def _afresh(self) -> list[Rearrangement]:
        """Return the strategy's placement from scratch, its servers named after running ones; empty if it has none."""
        options, place = self.draft.options, STRATEGIES[self.draft.options.strategy].place
        try:
            assignments = with_dedicated(self.running.problem, place, allow_merged=options.allow_merged)
        except Infeasible:
            return []
        contents: dict[str, ServerContents] = {}
        for assignment, name in zip(assignments, matched_names(assignments, self.running.routes), strict=True):
            runs = self.running.settings.get(name or "")
            keeps = runs is not None and serves(self.running.capacity, assignment.shares, runs)
            named = name or new_name([*self.running.settings, *contents, *self.running.taken])
            contents[named] = ServerContents(runs if keeps else assignment.server, dict(assignment.shares))
        order = [*self.running.settings, *contents]
        return [
            Rearrangement(self.running, {name: contents[name] for name in dict.fromkeys(order) if name in contents})
        ]

    def _verified(self, way: Balanced) -> tuple[Plan, float]:
        """Verify a fleet with fresh arrivals, relieving servers that fail, and return the plan and its cost.

        Where relief starts or restarts a server, the fleet is balanced again.
        """
        fleet, gain = way
        verifications = Verifications(self.running.problem.progress)
        for repair in range(REPAIR_ROUNDS + 1):
            plan = self.draft.model_copy(update={"servers": fleet.servers()})
            failing = verifications.failing(plan)
            if not failing or repair == REPAIR_ROUNDS:
                break
            before, restarts_before = len(fleet.contents), fleet.restarts()
            fleet = relieved(fleet, failing, careful=repair >= REPAIR_ROUNDS // 2)
            if len(fleet.contents) > before or fleet.restarts() > restarts_before:
                fleet, further = self._balanced(fleet)
                gain = together(gain, further)
        update = {"verified": not failing, "verified_seeds": () if failing else verification_seeds(plan)}
        steps = migration(self.running.plan, plan).model_copy(update={"balancing": gain})
        return plan.model_copy(update={**update, "migration": steps}), fleet.cost()

    def described(self, plan: Plan) -> Plan:
        """Return the plan with forecasts, decisions, a sample of stress, and the number of simulations."""
        capacity, roomy = self.running.capacity, self.running.roomy
        counts = {
            "twin_runs": capacity.twin_runs + roomy.twin_runs,
            "predictions": capacity.predictions + roomy.predictions,
        }
        asked = [(capacity, Assignment(server.server, server.adapters)) for server in plan.servers]
        progress = self.running.problem.progress
        plan = with_forecasts(with_confidence(plan.model_copy(update=counts), progress), asked, progress)
        return with_stress_sample(with_decisions(plan, asked, progress), progress)
