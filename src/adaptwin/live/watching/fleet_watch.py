"""FleetWatch: decides, time after time, whether the plans of a running fleet still hold, and what should run instead.

The forecast of the next hour is simulated. Where the plans do not hold, those that fail are re-planned with few moves.
Where they hold with room to spare, plans with fewer GPUs are looked for, if the forecasts of a whole stretch of time
allow it: giving up a server and starting it again is not free. Either way, the new plan is made for the largest
forecasts of that stretch.
"""

from typing import Literal, NamedTuple

from adaptwin.errors import Infeasible, SpecError
from adaptwin.live.watching.ask_twin import plans_hold, simulated_outlook
from adaptwin.live.watching.decision import WatchDecision
from adaptwin.live.watching.expected_workload import expected_workload
from adaptwin.live.watching.forecast import AHEAD, Method, RateForecast, forecast_rates
from adaptwin.live.watching.outlook import Outlook
from adaptwin.live.watching.recorded_traffic import RecordedTraffic
from adaptwin.plan.plan import Plan
from adaptwin.plan.plans import Plans
from adaptwin.progress import Progress, silent
from adaptwin.replanning.costs import MOVE_COST, RESTART_COST
from adaptwin.replanning.replan import replan
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.workload.workload import Workload

WORTH_ANOTHER_SEARCH = 0.95  # of the traffic with which no plan with fewer GPUs was found
_NOT_NEEDED = "the plan with more GPUs that was found before is not needed any more: stop servers started for it"
_NO_LONGER_HOLDS = "the plan that was found before would no longer hold"


class WatchOptions(NamedTuple):
    """How a fleet is watched.

    Attributes:
        look_back: Seconds of recent traffic that the forecast looks at.
        patience: Seconds whose forecasts must allow fewer GPUs before any is given up.
        method: How rates are forecast; see `forecast_rates`.
        move_cost: Cost of moving an adapter, in GPUs, as for `replan`.
        restart_cost: Cost of restarting a server, in GPUs.
        time_limit: Seconds of a search for another plan.
        seed: Seed of all simulations; None takes that of the plans.
        surrogate: Surrogate of the search, as for `replan`.
        describe: Whether plans that are found have forecasts of every server, as for `replan`.
    """

    look_back: float = 3600.0
    patience: float = 3600.0
    method: Method = "auto"
    move_cost: float = MOVE_COST
    restart_cost: float = RESTART_COST
    time_limit: float | None = 120.0
    seed: int | None = None
    surrogate: Surrogate | Literal["shipped"] | None = "shipped"
    describe: bool = True


class FleetWatch:
    """Decisions about a fleet, one after the other; what was forecast before is remembered."""

    def __init__(self, options: WatchOptions, progress: Progress = silent) -> None:
        self._options, self._progress = options, progress
        self._forecasts: list[tuple[float, RateForecast]] = []
        self._since: float | None = None  # time of the first forecast
        self._futile: dict[str, float] = {}  # requests/s with which fewer GPUs were not found, by base model

    def decide(self, running: Plans, found: Plans | None, traffic: RecordedTraffic, now: float) -> WatchDecision:
        """Decide about the plans that run.

        Args:
            running: The plans that run.
            found: Plans that were found before and are not in place yet.
            traffic: The traffic that was recorded.
            now: The time, unix seconds.
        """
        planned = {
            adapter.name: rate
            for plan in running.plans
            for adapter, rate in zip(plan.workload.adapters, plan.workload.rates, strict=True)
        }
        options = self._options
        forecast = forecast_rates(traffic, planned, now=now, look_back=options.look_back, method=options.method)
        if forecast is None:
            self._since = None  # patience begins again with what is known
            self._forecasts.clear()
            return WatchDecision("unknown", notes=("nothing is known of the recent traffic",))
        recent = traffic.between(now - options.look_back, now)
        notes: list[str] = []
        workloads = _workloads(running, forecast.rates, recent, notes)
        seed = running.plans[0].seed if options.seed is None else options.seed
        seen = simulated_outlook(list(zip(running.plans, workloads, strict=True)), seed)
        largest = self._largest_rates(forecast, now)
        decided = WatchDecision("holds", forecast, seen, notes=tuple(notes))
        is_patient = self._since is not None and now - self._since >= options.patience
        if found is not None and self._would_hold(_changed_plans(running, found), forecast.rates, recent, seed):
            spares = found.gpus > running.gpus and seen.holds and is_patient
            if spares and self._would_hold(running, largest, recent, seed):
                return decided._replace(kind="returns", plans=running, notes=(*notes, _NOT_NEEDED))
            return decided._replace(kind="waits", plans=found)
        if found is not None and seen.holds:
            return decided._replace(kind="returns", plans=running, notes=(*notes, _NO_LONGER_HOLDS))
        if not seen.holds:
            return self._changed(running, decided, _workloads(running, largest, recent, []), seen.failing)
        if is_patient:
            return self._with_fewer(running, decided, _workloads(running, largest, recent, []))
        return decided

    def _largest_rates(self, forecast: RateForecast, now: float) -> dict[str, float]:
        """Return the largest rates that were forecast over the last stretch of patience."""
        self._since = now if self._since is None else self._since
        if now < self._since:  # the clock was set back
            self._since = now
        earlier = [each for each in self._forecasts if now - self._options.patience <= each[0] <= now]
        self._forecasts = [*earlier, (now, forecast)]
        return {name: max(each.rates.get(name, 0.0) for _, each in self._forecasts) for name in forecast.rates}

    def _would_hold(self, found: Plans, rates: dict[str, float], recent: RecordedTraffic, seed: int) -> bool:
        workloads = _workloads(found, rates, recent, [])
        return plans_hold(list(zip(found.plans, workloads, strict=True)), seed)

    def _changed(
        self, running: Plans, decided: WatchDecision, workloads: tuple[Workload, ...], failing: frozenset[str]
    ) -> WatchDecision:
        """Return the decision with other plans for those that fail; where none is found, a plan stays as it is."""
        new: list[Plan] = []
        notes = list(decided.notes)
        for plan, workload in zip(running.plans, workloads, strict=True):
            if not failing.intersection(server.name for server in plan.servers):
                new.append(plan)
                continue
            try:
                changed = self._replanned(plan, workload, running)
            except (Infeasible, SpecError) as error:
                changed, why = plan, str(error)
            if changed is not plan and changed.promises and not changed.verified:
                changed, why = plan, "no plan was found that holds in simulations with fresh arrivals"
            if changed is plan:
                notes.append(f"{plan.base}: {why}" if running.are_several else why)
            new.append(changed)
            self._futile.pop(plan.base, None)
        if all(plan is before for plan, before in zip(new, running.plans, strict=True)):
            return decided._replace(kind="impossible", notes=tuple(notes))
        return decided._replace(kind="change", plans=Plans.model_construct(plans=tuple(new)), notes=tuple(notes))

    def _with_fewer(self, running: Plans, decided: WatchDecision, workloads: tuple[Workload, ...]) -> WatchDecision:
        """Return the decision with plans of fewer GPUs, if there are any."""
        new = list(running.plans)
        for place, (plan, workload) in enumerate(zip(running.plans, workloads, strict=True)):
            if not self._is_worth_a_search(plan, workload, decided):
                continue
            try:
                changed = self._replanned(plan, workload, running)
            except (Infeasible, SpecError):
                changed = plan
            if changed.gpus < plan.gpus and (changed.verified or not changed.promises):
                new[place] = changed
                self._futile.pop(plan.base, None)
            else:
                self._futile[plan.base] = workload.rate
        if all(plan is before for plan, before in zip(new, running.plans, strict=True)):
            return decided
        return decided._replace(kind="fewer", plans=Plans.model_construct(plans=tuple(new)))

    def _is_worth_a_search(self, plan: Plan, workload: Workload, decided: WatchDecision) -> bool:
        """Whether fewer GPUs may suffice for a plan, and none were looked for in vain with as little traffic."""
        assert decided.outlook
        assert decided.forecast
        expected = sum(decided.forecast.rates.get(adapter.name, 0.0) for adapter in workload.adapters)
        growth = workload.rate / expected if expected > 0 else 1.0
        load, serving = growth * _load_of(plan, decided.outlook), len(plan.serving)
        was_futile = workload.rate > WORTH_ANOTHER_SEARCH * self._futile.get(plan.base, float("inf"))
        return load <= serving - 1 and not was_futile

    def _replanned(self, plan: Plan, workload: Workload, running: Plans) -> Plan:
        options = self._options
        return replan(
            plan,
            workload,
            move_cost=options.move_cost,
            restart_cost=options.restart_cost,
            seed=options.seed,
            time_limit=options.time_limit,
            surrogate=options.surrogate,
            progress=self._progress,
            describe=options.describe,
            taken={server.name for other in running.plans if other is not plan for server in other.servers},
        )


def _changed_plans(running: Plans, found: Plans) -> Plans:
    """Return the plans that were found and do not run; all of them if all run.

    A plan of a base model for which no other was found stays as it is, and those of others need not wait for it.
    """
    plans = tuple(plan for plan in found.plans if plan not in running.plans)
    return Plans.model_construct(plans=plans) if plans else found


def _load_of(plan: Plan, seen: Outlook) -> float:
    """Return the servers of a plan that would suffice with the headroom that it keeps, or fewer.

    A server whose headroom has no known limit counts for none.
    """
    known = [server.name for server in plan.servers if server.name in seen.headroom and not seen.is_open(server.name)]
    return plan.factor * sum(1.0 / (1.0 + seen.headroom[name]) for name in known)


def _workloads(
    plans: Plans, rates: dict[str, float], recent: RecordedTraffic, notes: list[str]
) -> tuple[Workload, ...]:
    """Return the workload of each plan with other rates; what is worth knowing is added to the notes."""
    found = [expected_workload(plan.workload, rates, AHEAD, recent) for plan in plans.plans]
    if others := [name for each in found for name in each.other_lengths]:
        notes.append(
            f"{len(others)} adapters have clearly other mean lengths than planned, such as {others[0]!r}: the twin "
            "takes those that were seen"
        )
    return tuple(each.workload for each in found)
