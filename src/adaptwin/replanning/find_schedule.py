"""find_schedule: plans for rates that change over time, one after the other, with few changes between them.

A day repeats, so a plan is needed that begins it and follows from its end. The search starts with the plan of the
busiest period and changes it from period to period by `replan`, once around; then it goes on for up to half a round,
until the day can be closed: a plan of the first round follows from the last plan at no more cost than a new one. If it
never does, the day is taken that costs the least when it is closed by force. At last, plans are left out where staying
with a neighbour costs less and holds.
"""

import time
from collections.abc import Sequence
from typing import Literal, NamedTuple

from adaptwin.errors import SpecError
from adaptwin.placement.busiest_period import failing_in_period
from adaptwin.placement.find_plans import share_of_time
from adaptwin.placement.verification.fresh_seeds import verification_seeds
from adaptwin.plan.migration import Migration
from adaptwin.plan.plan import Plan
from adaptwin.plan.schedule import STATIC_FILE, FoundSchedule, Schedule, ScheduledPlan
from adaptwin.progress import Progress, of_several, silent
from adaptwin.replanning.costs import MOVE_COST, RESTART_COST
from adaptwin.replanning.ordering import migration
from adaptwin.replanning.replan import described_plan, replan, without_standbys
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.workload.demand.mean_lengths import tokens_per_adapter
from adaptwin.workload.rates_over_time import DAY, HOUR, RatesOverTime, clock_time

LEAD_SECONDS = 600.0  # before its period, a server starts, which takes minutes
_LEAST_SAVING = 1e-9  # GPU-hours that count as a gain


class ChangeCosts(NamedTuple):
    """What changes cost, in GPU-hours, and how early servers start."""

    move: float = MOVE_COST
    restart: float = RESTART_COST
    lead: float = LEAD_SECONDS  # seconds

    def gpu_hours(self, change: Migration, gpus: int) -> float:
        """Return the GPU-hours of a change to a plan on `gpus` GPUs beyond those of the plan before.

        In the lead time, the plan before still runs, beside the servers that start and those that are needed only
        during the change.
        """
        most = max(change.gpus_before, gpus) + change.extra_gpus
        return (most - change.gpus_before) * self.lead / HOUR

    def total(self, change: Migration, gpus: int) -> float:
        """Return what a change costs in the search, moves and restarts included."""
        return self.gpu_hours(change, gpus) + change.moves * self.move + change.restarts * self.restart


class _Serving(NamedTuple):
    """A plan that serves one period, or several in turn; its workload is that of the busiest of them."""

    places: tuple[int, ...]
    plan: Plan
    verified: bool  # in each of the periods


def find_schedule(
    static: Plan,
    rates: RatesOverTime,
    *,
    costs: ChangeCosts | None = None,
    seed: int | None = None,
    time_limit: float | None = None,
    surrogate: Surrogate | Literal["shipped"] | None = "shipped",
    progress: Progress = silent,
) -> FoundSchedule:
    """Find a schedule of verified plans for rates that change over time, whose periods repeat.

    Args:
        static: One plan for all periods, as `plans_for_busiest_period` finds it; its adapters, options and settings are
            those of every plan.
        rates: Rates of the adapters of the plan.
        costs: What changes cost; None: as `replan` counts them, in GPU-hours, and ten minutes for servers to start.
        seed: Seed of every random draw; None: the plan's.
        time_limit: Seconds after which the search tries no further improvements.
        surrogate: The surrogate that answers where it is confident, as for `make_plan`.
        progress: Called with the current stage, the work done and the total work.

    Raises:
        Infeasible: Some adapter cannot be served at all in a period.
        SpecError: The plan has no servers or several profiles, promises nothing, or has a wrong cost.
    """
    costs = costs or ChangeCosts()
    _require_schedulable(static, rates, costs)
    search = _ScheduleSearch(static, rates, costs, seed, time_limit, surrogate, progress)
    return search.found()


def _require_schedulable(static: Plan, rates: RatesOverTime, costs: ChangeCosts) -> None:
    names = sorted({server.profile for server in static.servers})
    if len(names) > 1:
        raise SpecError(f"the plan runs on {', '.join(names)}: only plans on one profile can be changed", "schedule")
    if not static.promises or static.options.gpus is not None:
        what = f"{static.options.objective} uses a given number of GPUs, so that no period needs fewer"
        raise SpecError(what, "schedule")
    for name, value in (("move_cost", costs.move), ("restart_cost", costs.restart), ("lead", costs.lead)):
        if not 0 <= value < float("inf"):
            raise SpecError(f"{value} must be at least 0 and finite", name)
    if costs.lead > rates.period:
        raise SpecError(f"{costs.lead:g} s must be at most the period, {rates.period:g} s", "lead")


class _ScheduleSearch(NamedTuple):
    """The search for the plans of all periods."""

    static: Plan
    rates: RatesOverTime
    costs: ChangeCosts
    seed: int | None
    time_limit: float | None
    surrogate: Surrogate | Literal["shipped"] | None
    progress: Progress

    def found(self) -> FoundSchedule:
        """Return the schedule with the lowest cost that the search finds."""
        day = self._day()
        late = self.static.time_limit_hit or any(serving.plan.time_limit_hit for serving in day)
        servings = self._with_fewer_changes(_without_repeats(day))
        servings.sort(key=lambda serving: self._clock(serving.places[0]))
        plans = [self._final(serving) for serving in servings]
        changes = [self._change(plans[index - 1], plan) for index, plan in enumerate(plans)]
        described = []
        for index, (serving, plan, change) in enumerate(zip(servings, plans, changes, strict=True)):
            report = of_several(self.progress, index, len(plans))
            known = described_plan(plan, surrogate=self.surrogate, progress=report)
            steps, said = change if len(plans) > 1 else None, (*known.assumptions, self._assumption_of(serving))
            described.append(known.model_copy(update={"migration": steps, "assumptions": said}))
        schedule = self._schedule(servings, described, changes).model_copy(update={"time_limit_hit": late})
        return FoundSchedule(schedule, tuple(described), self.static)

    def _day(self) -> list[_Serving]:
        """Return a plan for each period, in turn, such that the first follows from the last at the lowest cost."""
        periods, started = len(self.rates), time.perf_counter()
        first = self.rates.busiest(self.static.workload)
        plans = [self._static_in(first)]
        closings: list[tuple[float, int]] = []  # what a day costs that ends before the plan of this index
        steps = periods + periods // 2
        for index in range(1, steps + 1):
            if index >= periods:
                closing = self._cost_of(plans[-1].plan, plans[index - periods].plan)
                closings.append((self._cost_of_day(plans[index - periods :]), index))
                if index == steps or self._is_late(started):
                    break
            report = of_several(self.progress, index, steps)
            plans.append(self._next(plans[-1].plan, (first + index) % periods, started, index, report))
            if index >= periods and closing <= self._cost_of(plans[-2].plan, plans[-1].plan) + _LEAST_SAVING:
                break
        _, end = min(closings)
        return plans[end - periods : end]

    def _static_in(self, place: int) -> _Serving:
        plan = self._in_period(self.static, place).model_copy(update={"migration": None})
        return _Serving((place,), plan, not failing_in_period(self.static, self.rates, place))

    def _in_period(self, plan: Plan, place: int) -> Plan:
        return plan.model_copy(update={"workload": self.rates.workload_in(place, plan.workload)})

    def _next(self, before: Plan, place: int, started: float, index: int, progress: Progress) -> _Serving:
        """Return the plan of a period that follows from the one before. A GPU given up saves one GPU for the period.

        A plan that holds stays as long as the traffic does not fall, and once the time limit is over.
        """
        hours, limit, there = self.rates.period / HOUR, self.time_limit, self._in_period(before, place)
        late = self._is_late(started)
        may_stay = late or _tokens_of_plan(there) >= _tokens_of_plan(before)
        if may_stay and not failing_in_period(before, self.rates, place):
            there = there.model_copy(update={"time_limit_hit": late})
            return _Serving((place,), there, verified=True)
        plan = replan(
            before,
            there.workload,
            move_cost=self.costs.move / hours,
            restart_cost=self.costs.restart / hours,
            seed=self.seed,
            time_limit=limit and share_of_time(limit, started, max(1, len(self.rates) - index)),
            surrogate=self.surrogate,
            progress=progress,
            describe=False,
        )
        return _Serving((place,), plan, plan.verified)

    def _is_late(self, started: float) -> bool:
        return self.time_limit is not None and time.perf_counter() - started > self.time_limit

    def _cost_of_day(self, day: Sequence[_Serving]) -> float:
        """Return the cost in GPU-hours of plans that repeat, with all changes, the one from the last to the first."""
        changes = (self._cost_of(day[index - 1].plan, serving.plan) for index, serving in enumerate(day))
        return sum(changes) + sum(map(self._hours_of, day))

    def _hours_of(self, serving: _Serving) -> float:
        return serving.plan.gpus * len(serving.places) * self.rates.period / HOUR

    def _cost_of(self, before: Plan, after: Plan) -> float:
        return self.costs.total(self._change(before, after), after.gpus)

    def _change(self, before: Plan, after: Plan) -> Migration:
        """Return the steps between two plans; standbys take no part in them, but count as GPUs."""
        steps = migration(without_standbys(before), without_standbys(after))
        return steps.model_copy(update={"gpus_before": before.gpus})

    def _with_fewer_changes(self, servings: list[_Serving]) -> list[_Serving]:
        """Return the plans without those for which a neighbour's plan can stay at a lower cost, and hold."""
        index = 0
        while index < len(servings) and len(servings) > 1:
            kept = next(filter(None, (self._replaced(servings, index, by) for by in (-1, 1))), None)
            servings, index = (servings, index + 1) if kept is None else (kept, 0)
        return servings

    def _replaced(self, servings: list[_Serving], index: int, by: int) -> list[_Serving] | None:
        """Return the plans with one of them replaced by that of a neighbour; None if that costs more or fails."""
        serving, neighbour = servings[index], servings[(index + by) % len(servings)]
        changed = [*servings]
        changed[index] = serving._replace(plan=neighbour.plan)
        if self._cost_of_day(changed) >= self._cost_of_day(servings) - _LEAST_SAVING:
            return None
        if any(failing_in_period(neighbour.plan, self.rates, place) for place in serving.places):
            return None
        changed[index] = _Serving(serving.places, neighbour.plan, verified=True)
        return _without_repeats(changed)

    def _busiest_of(self, serving: _Serving) -> int:
        """Return the period in which a plan has the most tokens per second, of those that it serves."""
        return max(serving.places, key=lambda place: _tokens_of_plan(self._in_period(serving.plan, place)))

    def _final(self, serving: _Serving) -> Plan:
        """Return the plan with the workload of the busiest of its periods."""
        busiest = self._in_period(serving.plan, self._busiest_of(serving))
        seeds = verification_seeds(busiest) if serving.verified else ()
        return busiest.model_copy(update={"verified": serving.verified, "verified_seeds": seeds})

    def _assumption_of(self, serving: _Serving) -> str:
        many = len(serving.places)
        of = f", the busiest of the {many} periods that the plan serves" if many > 1 else ""
        return f"rates of {self.rates.span_of(self._busiest_of(serving))}{of}"

    def _clock(self, place: int) -> float:
        """Return the seconds since midnight at which a period begins; within a day, if a day repeats."""
        start = self.rates.start_of(place)
        return start % DAY if self.rates.seconds <= DAY else start

    def _schedule(self, servings: list[_Serving], plans: list[Plan], changes: list[Migration]) -> Schedule:
        following = [*servings[1:], servings[0]]
        entries = [self._entry(*each) for each in zip(servings, following, plans, changes, strict=True)]
        total, whole = sum(entry.gpu_hours for entry in entries), self.rates.seconds / HOUR
        return Schedule(
            period=self.rates.period,
            periods=len(self.rates),
            lead=self.costs.lead,
            move_cost=self.costs.move,
            restart_cost=self.costs.restart,
            entries=tuple(entries),
            gpu_hours=round(total, 3),
            static_gpus=self.static.gpus,
            static_gpu_hours=round(self.static.gpus * whole, 3),
            saved_gpu_hours=round(self.static.gpus * whole - total, 3),
            moves=sum(entry.moves for entry in entries),
            restarts=sum(entry.restarts for entry in entries),
            verified=all(entry.verified for entry in entries),
            static_verified=self.static.verified,
            static_plan=STATIC_FILE,
            assumptions=self._assumptions(),
        )

    def _entry(self, serving: _Serving, following: _Serving, plan: Plan, change: Migration) -> ScheduledPlan:
        start = self._clock(serving.places[0])
        end = start + len(serving.places) * self.rates.period
        at, until = (clock_time(self._clock(each.places[0])) for each in (serving, following))
        early = self.costs.gpu_hours(change, plan.gpus)
        actions = [step.action for step in change.steps]
        return ScheduledPlan(
            at=at,
            until=until,
            start=start,
            end=end,
            request_rate=max(float(self._in_period(plan, place).workload.rate) for place in serving.places),
            gpus=plan.gpus,
            started=actions.count("start"),
            stopped=actions.count("stop"),
            moves=change.moves,
            restarts=change.restarts,
            extra_gpus=change.extra_gpus,
            change_gpu_hours=round(early, 3),
            gpu_hours=round(self._hours_of(serving) + early, 3),
            verified=plan.verified,
            plan=f"plan-{at.replace(':', '')}.yaml",
        )

    def _assumptions(self) -> tuple[str, ...]:
        hours = f"{self.rates.seconds / HOUR:g} h"
        return (
            f"rates do not change within a period of {self.rates.period / 60:g} min, and the {hours} repeat",
            f"new servers start {self.costs.lead / 60:g} min before they serve; GPUs that are given up cost nothing",
            "each plan is simulated in its own periods, and not during the change to it",
        )


def _without_repeats(servings: Sequence[_Serving]) -> list[_Serving]:
    """Return the plans in turn, those with the same servers as the one before joined, the last and the first, too."""
    joined: list[_Serving] = []
    for serving in servings:
        if joined and _same_servers(joined[-1].plan, serving.plan):
            joined[-1] = _both(joined[-1], serving)
        else:
            joined.append(serving)
    if len(joined) > 1 and _same_servers(joined[-1].plan, joined[0].plan):
        joined[0] = _both(joined.pop(), joined[0])
    return joined


def _both(one: _Serving, other: _Serving) -> _Serving:
    return _Serving((*one.places, *other.places), other.plan, one.verified and other.verified)


def _tokens_of_plan(plan: Plan) -> float:
    """Return the tokens per second of all adapters of a plan."""
    return sum(tokens_per_adapter(plan.workload).values())


def _same_servers(one: Plan, other: Plan) -> bool:
    first, second = (
        {server.name: (server.profile, server.server, server.adapters) for server in plan.servers}
        for plan in (one, other)
    )
    return first == second
