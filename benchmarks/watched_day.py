"""A day of ServeGen's clients: `adaptwin watch` against one plan, a schedule, and planning afresh each hour.

``python benchmarks/watched_day.py`` simulates every way to run the fleet and writes docs/measured/watch.md with its
picture. Results of ways that are done are kept in benchmarks/results, and ``--again`` makes them anew.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from adaptwin import load_profile
from adaptwin.live.watching.fleet_watch import FleetWatch, WatchOptions
from adaptwin.live.watching.history import WatchHistory
from adaptwin.live.watching.keep_watch import keep_watch
from adaptwin.live.watching.simulated_fleet import START_SECONDS, SimulatedFleet
from adaptwin.live.watching.simulated_stretch import SimulatedStretch
from adaptwin.live.watching.watched_round import WatchedRound
from adaptwin.placement.busiest_period import plans_for_busiest_period
from adaptwin.placement.make_plan import make_plan
from adaptwin.placement.packing.problem import Assignment
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan import Plan
from adaptwin.plan.plans import Plans
from adaptwin.plan.routes import routes_of
from adaptwin.plan.server_names import new_name
from adaptwin.profile.profile import Profile
from adaptwin.replanning.find_schedule import find_schedule
from adaptwin.replanning.matching import matched_names
from adaptwin.replanning.ordering import moves, restarted
from adaptwin.workload.rates_over_time import HOUR, RatesOverTime
from adaptwin.workload.workload import Adapter, Workload
from servegen_days import DAY, LONGEST, STEP, client_days
from watched_day_page import write_watched_day_page

PROFILE = "h100-64gb-llama-3.1-8b-instruct"
PEAK = 200.0  # requests/s in the busiest ten minutes of the day
HEADROOM = 0.1  # of all plans
BEFORE = 6.0 * HOUR  # seconds that the watch begins before the day
SEARCH_SECONDS = 15.0  # of a search for another plan, in each round of the watch
RESULTS = Path(__file__).parent / "results" / "watched_day.json"


class Day(NamedTuple):
    """What all ways are tried on."""

    profile: Profile
    workload: Workload
    both_days: RatesOverTime  # in steps of ten minutes
    day: RatesOverTime  # the second one
    hours: RatesOverTime  # its mean rates by hour


def the_day() -> Day:
    """Return the second of two days of ServeGen's clients."""
    workload, both = client_days(PEAK)
    rates = both.rates[:, -int(DAY / STEP) :]
    means = rates.reshape(len(rates), 24, -1).mean(axis=2)
    profile = load_profile(PROFILE)
    return Day(profile, workload, both, replace(both, rates=rates), RatesOverTime(both.names, means, HOUR))


def static(day: Day) -> tuple[list[SimulatedStretch], str]:
    """Play one plan, which is made for the busiest hour and held in all others."""
    return _played(day, lambda _: _static_plan(day))


def schedule(day: Day) -> tuple[list[SimulatedStretch], str]:
    """Play the schedule of the day, which knows all hours beforehand."""
    found = find_schedule(_static_plan(day), day.hours, time_limit=None)
    entries = list(zip(found.schedule.entries, found.plans, strict=True))

    def plan_at(hour: int) -> Plan:
        for entry, plan in entries:
            start, end = entry.start / HOUR, entry.end / HOUR
            if start <= hour < end or start <= hour + 24 < end:
                return plan
        raise ValueError(f"the schedule has no plan for hour {hour}")

    return _played(day, plan_at)


def afresh(day: Day) -> tuple[list[SimulatedStretch], str]:
    """Play a new plan for each hour, which knows the hour beforehand; servers keep names where adapters overlap."""
    plans: list[Plan] = []
    for hour in range(24):
        options = {"headroom": HEADROOM}
        plan = make_plan(day.profile, day.hours.workload_in(hour, day.workload), **options)
        plans.append(_renamed(plan, plans[-1]) if plans else plan)
        print(f"  hour {hour}: {plan.gpus} GPUs", file=sys.stderr)
    return _played(day, lambda hour: plans[hour])


def watch(day: Day) -> tuple[list[SimulatedStretch], str]:
    """Watch from some hours before the day on, with a plan for the first of them; the day counts."""
    steps = int((DAY + BEFORE) / STEP)
    watched = replace(day.both_days, rates=day.both_days.rates[:, -steps:])
    first = day.workload.model_copy(update={"adapters": _mean_adapters(day.workload, watched), "duration": HOUR})
    plan = make_plan(day.profile, first, headroom=HEADROOM)
    fleet = SimulatedFleet(watched, STEP, START_SECONDS)
    options = WatchOptions(time_limit=SEARCH_SECONDS, describe=False)
    kinds: Counter[str] = Counter()

    def publish(seen: WatchedRound) -> None:
        kinds[seen.decision.kind] += 1
        last = fleet.stretches[-1]
        print(f"  {last.start / HOUR:.1f} h: {last.gpus} GPUs, {seen.decision.kind}", file=sys.stderr)

    with WatchHistory(None) as history:
        keep_watch(Plans(plans=(plan,)), fleet, FleetWatch(options), history, publish=publish)
    counted = ", ".join(f"{kind} {number}" for kind, number in kinds.most_common())
    return fleet.stretches[-int(DAY / STEP) :], counted


def _mean_adapters(workload: Workload, rates: RatesOverTime) -> tuple[Adapter, ...]:
    """Return adapters with their mean rates of the first hour."""
    means = dict(zip(rates.names, rates.rates[:, : int(HOUR / STEP)].mean(axis=1).tolist(), strict=True))
    return tuple(adapter.model_copy(update={"rate": means[adapter.name]}) for adapter in workload.adapters)


_STATIC: list[Plan] = []


def _static_plan(day: Day) -> Plan:
    if not _STATIC:
        options = PlanOptions(headroom=HEADROOM)
        [found] = plans_for_busiest_period([day.profile], day.workload, day.hours, options)
        print(f"  {found.plan.gpus} GPUs for {found.planned_for}, also {found.raised}; fails {found.failing}")
        _STATIC.append(found.plan)
    return _STATIC[0]


def _renamed(plan: Plan, before: Plan) -> Plan:
    """Return a plan whose servers have the names of those of the plan before that serve most of the same."""
    assignments = [Assignment(server.server, server.adapters) for server in plan.servers]
    taken: list[str] = []
    servers = []
    known = [server.name for server in before.servers]
    for server, name in zip(plan.servers, matched_names(assignments, routes_of(before)), strict=True):
        taken.append(name or new_name([*known, *taken]))
        servers.append(server.model_copy(update={"name": taken[-1], "like": None}))
    return plan.model_copy(update={"servers": tuple(servers)})


def _played(day: Day, plan_at: Callable[[int], Plan]) -> tuple[list[SimulatedStretch], str]:
    """Play the day with the plan of each hour, which is in place when the hour begins."""
    fleet = SimulatedFleet(day.day, STEP)
    before: Plan | None = None
    for place in range(len(fleet)):
        plan = plan_at(int(place * STEP // HOUR))
        fleet.observe(Plans(plans=(plan,)))
        if before is not None and before is not plan:
            made = {"moves": moves(before, plan), "restarts": len(restarted(before, plan))}
            fleet.stretches[-1] = fleet.stretches[-1]._replace(**made)
        before = plan
    return fleet.stretches, ""


WAYS = {"one plan": static, "schedule": schedule, "afresh each hour": afresh, "watch": watch}


def results(names: list[str]) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield what each way came to; those that are kept are not simulated again unless they are named."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    day = the_day()
    for name, way in WAYS.items():
        if name not in kept or name in names:
            print(name, file=sys.stderr)
            began = time.perf_counter()
            stretches, note = way(day)
            seconds = round(time.perf_counter() - began, 1)
            kept[name] = {"stretches": [each._asdict() for each in stretches], "note": note, "seconds": seconds}
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(json.dumps(kept), encoding="utf-8")
        yield name, kept[name]


if __name__ == "__main__":
    again = list(WAYS) if "--again" in sys.argv else sys.argv[1:]
    found = dict(results(again))
    write_watched_day_page(
        found, peak=PEAK, headroom=HEADROOM, every=STEP, longest=LONGEST, start=START_SECONDS, before=BEFORE
    )
