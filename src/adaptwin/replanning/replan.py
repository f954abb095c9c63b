"""replan: a plan for a changed workload that leaves the running fleet as it is where that is worth it.

Adapters stay where they are, newcomers go where they fit. A server that does not serve its adapters any more is
relieved or gets other settings; servers that can be given up are; and where planning afresh could be worth all its
moves, that is tried, too. What counts is the number of GPUs plus what the moves and restarts cost, in GPUs.
"""

import math
import time
from typing import Literal, NamedTuple

from adaptwin.errors import Infeasible, SpecError
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.largest import largest_factor
from adaptwin.placement.capacity.planner_settings import common_settings
from adaptwin.placement.capacity.workload_surrogate import workload_surrogate_for
from adaptwin.placement.caution import REPAIR_FACTOR, REPAIR_ROUNDS
from adaptwin.placement.lower_bound.lower_bound import lower_bound
from adaptwin.placement.packing.problem import Assignment, Problem, items_to_place
from adaptwin.placement.spares.standby import with_standbys
from adaptwin.placement.strategies.registry import STRATEGIES
from adaptwin.placement.verification.forecast import with_forecasts
from adaptwin.placement.verification.fresh_seeds import failing_servers, verification_seeds
from adaptwin.plan.plan import Plan
from adaptwin.plan.server_names import new_name
from adaptwin.progress import Progress, silent
from adaptwin.replanning.costs import MOVE_COST, RESTART_COST
from adaptwin.replanning.matching import matched_names
from adaptwin.replanning.ordering import migration
from adaptwin.replanning.rearrangement import Prices, Rearrangement, Running, ServerContents, serves
from adaptwin.replanning.relief import relieved, repaired
from adaptwin.surrogate.compilation import compile_planning
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.twin.compilation import compile_twin
from adaptwin.workload.workload import Workload

SERVERS_TO_GIVE_UP = 3  # servers, the emptiest, that are tried to do without
MOVED_SHARE_AFRESH = 0.5  # of the adapters, at least, usually change servers when all is planned afresh
MOST_TRAFFIC_FACTOR = 4.0  # times the traffic up to which a server's room is looked for


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
) -> Plan:
    """Find a plan for another workload that changes little of the plan that runs, and the steps from one to the other.

    Strategy, headroom and margin are those of the plan; so are profile and settings, except that servers which restart
    get the slots and the rank that suit them best. The result is verified by the twin, as `make_plan` does it, and has
    the steps in its `migration`. Servers that stay keep their names. Where the plan has spare GPUs, the new one has
    standbys.

    Args:
        plan: The plan that runs.
        workload: Adapters and traffic to come. Adapters are the same where their names are.
        move_cost: What it costs to move an adapter that is served now, in GPUs: up to a hundred moves are worth one.
        restart_cost: What it costs to restart a server with other settings, in GPUs.
        seed: Of the draws; by default the plan's.
        time_limit: Seconds after which no further improvement is looked for.
        surrogate: As for `make_plan`.
        progress: Told what is being done, and how much of it.

    Raises:
        Infeasible: Some adapter cannot be served at all; the message names it and what binds.
        SpecError: A plan without servers or on several profiles, a workload without adapters, or a negative cost.
    """
    prices = Prices(move_cost, restart_cost)
    _require_sound(plan, workload, prices)
    (compile_twin if surrogate is None else compile_planning)(progress)
    started = time.perf_counter()
    deadline = started + (math.inf if time_limit is None else time_limit)
    running = _without_spares(plan)
    search = _ReplanSearch.of(
        running, workload, prices, plan.seed if seed is None else seed, surrogate, deadline, progress
    )
    found = search.run()
    options = found.options.model_copy(update={"spare": plan.options.spare, "time_limit": time_limit})
    found = found.model_copy(update={"migration": migration(running, found), "options": options})
    if options.spare:
        found = with_standbys(found).model_copy(update={"lower_bound": found.lower_bound + options.spare})
    return found.model_copy(update={"planning_seconds": round(time.perf_counter() - started, 3)})


def _without_spares(plan: Plan) -> Plan:
    """What runs of a plan: standbys do not."""
    serving = tuple(server for server in plan.servers if not server.is_standby)
    options = plan.options.model_copy(update={"spare": 0})
    return plan.model_copy(update={"servers": serving, "options": options, "failover": ()})


def _require_sound(plan: Plan, workload: Workload, prices: Prices) -> None:
    if not plan.servers:
        raise SpecError("the plan has none: nothing runs that could be changed", "servers")
    names = sorted({server.profile for server in plan.servers})
    if len(names) > 1:
        raise SpecError(f"run on {', '.join(names)}: only plans on one profile can be changed", "servers")
    if not workload.adapters:
        raise SpecError("lists no adapter", "adapters")
    for name, price in zip(("move_cost", "restart_cost"), prices, strict=True):
        if not 0 <= price < math.inf:
            raise SpecError(f"{price} must be at least 0", name)


class _ReplanSearch(NamedTuple):
    """From the running fleet to a verified plan."""

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
    ) -> "_ReplanSearch":
        """A search that asks the plan's headroom and margin of every server."""
        first = plan.servers[0]
        profile = plan.profile_of(first)
        template = common_settings(first.server)
        known = workload_surrogate_for(surrogate, profile, workload, template)
        drawn, constraints = workload.model_copy(update={"seed": seed}), plan.options.constraints.among(workload)
        capacity, roomy = (
            Capacity(profile, drawn, template, plan.factor * factor, known, plan.options.latency_limits)
            for factor in (1.0, REPAIR_FACTOR)
        )
        bound = lower_bound([profile], workload, template, plan.factor)
        update = {"workload": workload, "seed": seed, "lower_bound": bound, "servers": (), "verified": False}
        update["options"] = plan.options.model_copy(update={"constraints": constraints})
        update["verified_seeds"] = ()
        draft = plan.model_copy(update={**update, "time_limit_hit": False, "search_seconds": 0.0, "migration": None})
        problem = Problem(capacity, bound, progress, deadline, constraints)
        return cls(Running.of(plan, problem, roomy, prices), draft)

    def run(self) -> Plan:
        """The cheapest arrangement, verified and described."""
        progress = self.running.problem.progress
        progress("rearranging", 0, 3)
        fleet = self._with_newcomers(repaired(self._carried_over(), self._changed()))
        progress("rearranging", 1, 3)
        fleet = self._with_fewer(fleet)
        progress("rearranging", 2, 3)
        ways = [fleet, *self._afresh()] if self._afresh_may_pay(fleet) else [fleet]
        progress("rearranging", 3, 3)
        late = self.running.problem.out_of_time
        return self._described(self._cheapest(ways)).model_copy(update={"time_limit_hit": late})

    def _cheapest(self, ways: list[Rearrangement]) -> Plan:
        """Of these arrangements, repaired where they fail the verification, the cheapest one."""
        found: list[tuple[bool, float, Plan]] = []
        for way in sorted(ways, key=Rearrangement.cost):
            if not any(plan.verified and cost <= way.cost() for _, cost, plan in found):
                plan, cost = self._verified(way)
                found.append((not plan.verified, cost, plan))
        return min(found, key=lambda attempt: attempt[:2])[2]

    def _carried_over(self) -> Rearrangement:
        """Every adapter that is still there, where it is."""
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
        """Servers that see other traffic than the one that they were verified with."""
        plan, workload = self.running.plan, self.draft.workload
        still = set(self.running.capacity.names)
        return [
            server.name
            for server in plan.servers
            if not plan.verified
            or plan.workload.part({n: share for n, share in server.adapters.items() if n in still}, 0)
            != workload.part(server.adapters, 0)
        ]

    def _with_newcomers(self, fleet: Rearrangement) -> Rearrangement:
        """The fleet with a place for every adapter; newcomers too hot for one server come in parts."""
        fleet.unplaced += [
            item for item in items_to_place(self.running.problem) if item.name not in self.running.routes
        ]
        return fleet.housed()

    def _with_fewer(self, fleet: Rearrangement) -> Rearrangement:
        """Without servers whose adapters can move to others at less than the price of a GPU."""
        while self._needed(fleet) < len(fleet.contents) and (fewer := self._one_fewer(fleet)) is not None:
            fleet = fewer
        return fleet

    def _one_fewer(self, fleet: Rearrangement) -> Rearrangement | None:
        for name in sorted(fleet.contents, key=lambda name: (fleet.load_of(name), name))[:SERVERS_TO_GIVE_UP]:
            if self.running.problem.out_of_time:
                break
            trial = fleet.without(name)
            if len(trial.contents) < self.draft.lower_bound or len(trial.unplaced) * self.running.prices.move >= 1.0:
                continue
            trial.settle()
            trial.settle_with_restarts()
            if not trial.unplaced and trial.cost() < fleet.cost():
                return trial
        return None

    def _afresh_may_pay(self, fleet: Rearrangement) -> bool:
        """Whether the GPUs that the fleet's room would save are worth the moves that planning afresh usually takes.

        It is not tried where adapters are pinned, because the servers must keep their names then, nor where the
        strategy was a function, of which the plan has the name only.
        """
        is_known = self.draft.options.strategy in STRATEGIES
        if not is_known or self.running.problem.out_of_time or self.running.problem.constraints.pinned:
            return False
        staying = sum(name in self.running.routes for name in self.running.capacity.names)
        paid = self.running.prices.move * MOVED_SHARE_AFRESH * staying
        return fleet.cost() - self._needed(fleet) > paid

    def _needed(self, fleet: Rearrangement) -> int:
        """As how many servers as full as these could be, at the best, the fleet could be."""
        loads = [fleet.load_of(name) for name in fleet.contents]
        limits = [load * self._growth(fleet, name) for load, name in zip(loads, fleet.contents, strict=True)]
        return max(self.draft.lower_bound, math.ceil(len(loads) * sum(loads) / max(sum(limits), 1e-9)))

    def _growth(self, fleet: Rearrangement, name: str) -> float:
        """The factor by which a server's traffic can grow, to about a tenth."""
        settings, shares = fleet.contents[name]

        def bears(factor: float) -> bool:
            grown = {adapter: share * factor for adapter, share in shares.items()}
            return serves(self.running.capacity, grown, settings)

        return largest_factor(1.0, MOST_TRAFFIC_FACTOR, 1.1, bears).high

    def _afresh(self) -> list[Rearrangement]:
        """The strategy's own placement, its servers called after the running ones; none if it finds none."""
        try:
            assignments = STRATEGIES[self.draft.options.strategy].place(self.running.problem)
        except Infeasible:
            return []
        contents: dict[str, ServerContents] = {}
        for assignment, name in zip(assignments, matched_names(assignments, self.running.routes), strict=True):
            runs = self.running.settings.get(name or "")
            keeps = runs is not None and serves(self.running.capacity, assignment.shares, runs)
            named = name or new_name([*self.running.settings, *contents])
            contents[named] = ServerContents(runs if keeps else assignment.server, dict(assignment.shares))
        order = [*self.running.settings, *contents]
        return [
            Rearrangement(self.running, {name: contents[name] for name in dict.fromkeys(order) if name in contents})
        ]

    def _verified(self, fleet: Rearrangement) -> tuple[Plan, float]:
        """The plan and its cost, after a little was taken off servers that failed with fresh seeds, until none did."""
        for repair in range(REPAIR_ROUNDS + 1):
            self.running.problem.progress("verifying", repair, REPAIR_ROUNDS + 1)
            plan = self.draft.model_copy(update={"servers": fleet.servers()})
            failing = failing_servers(plan)
            if not failing or repair == REPAIR_ROUNDS:
                break
            fleet = relieved(fleet, failing, careful=repair >= REPAIR_ROUNDS // 2)
        self.running.problem.progress("verifying", REPAIR_ROUNDS + 1, REPAIR_ROUNDS + 1)
        update = {"verified": not failing, "verified_seeds": () if failing else verification_seeds(plan)}
        return plan.model_copy(update=update), fleet.cost()

    def _described(self, plan: Plan) -> Plan:
        """The plan with what the twin expects of every server, and how many answers twin and surrogate gave."""
        capacity, roomy = self.running.capacity, self.running.roomy
        counts = {
            "twin_runs": capacity.twin_runs + roomy.twin_runs,
            "predictions": capacity.predictions + roomy.predictions,
        }
        asked = ((capacity, Assignment(server.server, server.adapters)) for server in plan.servers)
        return with_forecasts(plan.model_copy(update=counts), asked, self.running.problem.progress)
