"""keep_watch: observe a fleet, decide, and bring it to other plans where it needs them, again and again."""

import hashlib
from collections.abc import Callable

from adaptwin.live.watching.ask_twin import expected_runs
from adaptwin.live.watching.expected_workload import expected_workload
from adaptwin.live.watching.fleet_watch import FleetWatch
from adaptwin.live.watching.history import WatchHistory
from adaptwin.live.watching.observed import Observed
from adaptwin.live.watching.recorded_traffic import RecordedTraffic
from adaptwin.live.watching.watched_fleet import WatchedFleet
from adaptwin.live.watching.watched_round import WatchedRound
from adaptwin.plan.plans import Plans
from adaptwin.twin.run import Run
from adaptwin.workload.rates_over_time import DAY

REMEMBERED = 2.0 * DAY  # seconds of traffic that forecasts may look at
_GOES_ON = "the watch goes on with the plan that it had, of the history, and not with the one that is given"


def keep_watch(
    plans: Plans,
    fleet: WatchedFleet,
    watch: FleetWatch,
    history: WatchHistory,
    *,
    publish: Callable[[WatchedRound], None],
    rounds: int | None = None,
) -> Plans:
    """Watch a fleet until it ends, or for so many rounds, and return the plans that run then.

    Where the history holds plans that came out of the given ones, the watch goes on with them, and says so.

    Args:
        plans: The plans that run, or from which those came that do.
        fleet: The fleet.
        watch: What decides.
        history: What was seen and decided before, and what will be.
        publish: Called after each round.
        rounds: Number of rounds; None: no limit.
    """
    origin = origin_of(plans)
    last, found = history.last_plans(origin)
    running, number = last or _without_steps(plans), 0
    while rounds is None or number < rounds:
        observed = fleet.observe(running)
        if observed is None:
            break
        number += 1
        if number == 1 and last is None:
            history.keep_plans(observed.time, origin, running, "run")
        elif number == 1 and last != _without_steps(plans):
            observed = observed._replace(notes=(_GOES_ON, *observed.notes))
        history.add(observed)
        expected = _runs_with_seen(running, observed)
        decision = watch.decide(running, found, history.traffic(observed.time - REMEMBERED), observed.time)
        if decision.kind in ("change", "fewer", "returns") and decision.plans:
            found = decision.plans
            history.keep_plans(observed.time, origin, found, "found")
        change = fleet.change(found) if found else None
        history.add_decision(observed, decision, expected, running.gpus)
        publish(WatchedRound(observed, expected, decision, running, found, change))
        if found and change and change.is_complete:
            running, found = _without_steps(found), None
            history.keep_plans(observed.time, origin, running, "run")
    return running


def _without_steps(plans: Plans) -> Plans:
    """Return plans without the steps that lead to them, which are taken."""
    return plans.model_copy(
        update={"plans": tuple(plan.model_copy(update={"migration": None}) for plan in plans.plans)}
    )


def origin_of(plans: Plans) -> str:
    """Return the fingerprint of plans that were given."""
    return hashlib.sha256(plans.model_dump_json().encode()).hexdigest()[:16]


def _runs_with_seen(running: Plans, observed: Observed) -> dict[str, Run]:
    """Return the twin's runs with the traffic that was seen, for the servers that could be read."""
    if observed.requests is None or not observed.servers:
        return {}
    seen = RecordedTraffic.of_windows([(observed.time, observed.seconds, observed.requests)])
    rates = {name: counted.requests / observed.seconds for name, counted in observed.requests.items()}
    workloads = []
    for plan in running.plans:
        known = {adapter.name: rates.get(adapter.name, 0.0) for adapter in plan.workload.adapters}
        workloads.append((plan, expected_workload(plan.workload, known, observed.seconds, seen).workload))
    return expected_runs(workloads, list(observed.servers), running.plans[0].seed)
