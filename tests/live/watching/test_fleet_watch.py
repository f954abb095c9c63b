"""What is decided about a fleet, by its traffic, and how a simulated fleet follows."""

import numpy as np
import pytest
from tests.live.small_plans import placed, plan_of

from adaptwin import Lengths, load_profile
from adaptwin.live.metering.router_counters import Counted
from adaptwin.live.watching.expected_workload import SHORTEST_HOUR, expected_workload
from adaptwin.live.watching.fleet_watch import FleetWatch, WatchOptions
from adaptwin.live.watching.history import WatchHistory
from adaptwin.live.watching.keep_watch import keep_watch
from adaptwin.live.watching.recorded_traffic import RecordedTraffic
from adaptwin.live.watching.simulated_fleet import SimulatedFleet
from adaptwin.placement.make_plan import make_plan
from adaptwin.plan.plans import Plans
from adaptwin.workload.rates_over_time import RatesOverTime
from adaptwin.workload.workload import Adapter, Workload

LLAMA = load_profile("h100-64gb-llama-3.1-8b-instruct")
QWEN = load_profile("h100-64gb-qwen-2.5-7b-instruct")
NAMES = tuple(f"a{i}" for i in range(8))
QUIET, BUSY = 0.5, 5.0  # requests/s of each adapter: for one GPU, and for several
OPTIONS = WatchOptions(patience=1200.0, time_limit=10.0, seed=3)


def workload(rate):
    return Workload(
        adapters=tuple(Adapter(name=name, rank=8, rate=rate) for name in NAMES),
        lengths=Lengths.fixed(250, 230),
        duration=600.0,
    )


@pytest.fixture(scope="module")
def quiet_plan():
    return Plans(plans=(make_plan(LLAMA, workload(QUIET), seed=3),))


@pytest.fixture(scope="module")
def busy_plan():
    return Plans(plans=(make_plan(LLAMA, workload(BUSY), seed=3),))


def traffic(*rates, seconds=600.0):
    """Return windows with these rates of every adapter."""
    counts = [
        {name: Counted(rate * seconds, 250 * rate * seconds, 230 * rate * seconds) for name in NAMES} for rate in rates
    ]
    return RecordedTraffic.of_windows([(seconds * (i + 1), seconds, each) for i, each in enumerate(counts)])


def test_a_plan_holds_with_its_own_traffic_and_says_its_headroom(quiet_plan):
    found = FleetWatch(OPTIONS).decide(quiet_plan, None, traffic(QUIET), 600.0)
    assert (found.kind, found.plans) == ("holds", None)
    assert found.outlook.overloaded == ()
    assert min(found.outlook.headroom.values()) >= 0.0


def test_nothing_is_decided_without_recent_traffic(quiet_plan):
    found = FleetWatch(OPTIONS).decide(quiet_plan, None, traffic(QUIET), 600.0 + 3 * 3600.0)
    assert (found.kind, found.outlook) == ("unknown", None)


def test_a_plan_that_does_not_hold_is_replaced_by_one_that_does(quiet_plan):
    watch = FleetWatch(OPTIONS)
    found = watch.decide(quiet_plan, None, traffic(BUSY), 600.0)
    assert found.kind == "change"
    assert found.plans.gpus > quiet_plan.gpus
    assert found.plans.verified
    assert found.outlook.failing == {server.name for server in quiet_plan.plans[0].servers}
    assert max(found.outlook.headroom.values()) < 0.0
    assert found.moves == found.plans.plans[0].migration.moves > 0
    again = watch.decide(quiet_plan, found.plans, traffic(BUSY, BUSY), 1200.0)
    assert (again.kind, again.plans) == ("waits", found.plans)


def test_a_plan_that_is_not_needed_any_more_is_given_up_after_patience(quiet_plan):
    watch = FleetWatch(OPTIONS._replace(look_back=600.0))
    found = watch.decide(quiet_plan, None, traffic(BUSY), 600.0).plans
    assert found.gpus > quiet_plan.gpus
    kinds = []
    for windows in range(2, 5):
        decided = watch.decide(quiet_plan, found, traffic(BUSY, *[QUIET] * (windows - 1)), 600.0 * windows)
        kinds.append(decided.kind)
    assert kinds == ["waits", "waits", "returns"]
    assert decided.plans is quiet_plan


def test_a_plan_with_fewer_gpus_is_given_up_when_the_traffic_rises_again(busy_plan, quiet_plan):
    renamed = Plans.model_construct(plans=(quiet_plan.plans[0].model_copy(update={"seed": 4}),))
    decided = FleetWatch(OPTIONS).decide(busy_plan, renamed, traffic(BUSY), 600.0)
    assert (decided.kind, decided.plans) == ("returns", busy_plan)


def test_patience_begins_again_after_a_time_without_traffic(busy_plan):
    watch = FleetWatch(OPTIONS)
    assert watch.decide(busy_plan, None, traffic(QUIET), 600.0).kind == "holds"
    assert watch.decide(busy_plan, None, traffic(QUIET), 9000.0).kind == "unknown"
    late = traffic(*[0.0] * 15, QUIET)._replace(ends=np.array([600.0 * (i + 1) for i in range(16)]))
    assert watch.decide(busy_plan, None, late.between(9000.0, 9600.0), 9600.0).kind == "holds"


def test_a_clock_that_is_set_back_does_not_shorten_patience(busy_plan):
    watch = FleetWatch(OPTIONS)
    later = traffic(QUIET)._replace(ends=np.array([1e9]))
    assert watch.decide(busy_plan, None, later, 1e9).kind == "holds"
    seen = [watch.decide(busy_plan, None, traffic(*[QUIET] * windows), 600.0 * windows) for windows in range(1, 4)]
    assert [each.kind for each in seen] == ["holds", "holds", "fewer"]


def test_gpus_are_given_up_only_after_patience(busy_plan):
    watch = FleetWatch(OPTIONS)
    seen = [watch.decide(busy_plan, None, traffic(*[QUIET] * windows), 600.0 * windows) for windows in range(1, 5)]
    assert [each.kind for each in seen] == ["holds", "holds", "fewer", "fewer"]
    assert seen[2].plans.gpus < busy_plan.gpus


@pytest.mark.long
def test_a_burst_within_patience_keeps_the_gpus(busy_plan):
    watch = FleetWatch(OPTIONS)
    kinds = [
        watch.decide(busy_plan, None, traffic(*([BUSY] + [QUIET] * 7)[:windows]), 600.0 * windows).kind
        for windows in range(1, 9)
    ]
    assert "fewer" not in kinds[:7]


def test_a_base_model_without_another_plan_does_not_keep_others_from_theirs(quiet_plan):
    [plan] = quiet_plan.plans
    names = tuple(f"q{i}" for i in range(8))
    adapters = tuple(Adapter(name=name, rank=8, rate=QUIET) for name in names)
    lengths = Lengths.fixed(200_000, 100)
    server = plan.servers[0].model_copy(
        update={"name": "q-0", "adapters": dict.fromkeys(names, 1.0), "profile": QWEN.name}
    )
    hard = plan.model_copy(
        update={
            "servers": (server,),
            "profiles": (QWEN,),
            "workload": plan.workload.model_copy(update={"adapters": adapters, "lengths": lengths}),
        }
    )
    running = Plans.model_construct(plans=(plan, hard))

    def seen(windows):
        counts = {
            name: Counted(rate * 600.0, 0.0, 0.0) for part, rate in ((NAMES, BUSY), (names, QUIET)) for name in part
        }
        return RecordedTraffic.of_windows([(600.0 * (i + 1), 600.0, counts) for i in range(windows)])

    watch = FleetWatch(OPTIONS)
    found = watch.decide(running, None, seen(1), 600.0)
    assert (found.kind, found.plans.plans[1]) == ("change", hard)
    assert found.plans.plans[0].gpus > plan.gpus
    assert found.notes[-1].startswith(f"{hard.base}: ")
    assert watch.decide(running, found.plans, seen(2), 1200.0).kind == "waits"


def test_what_no_server_can_serve_is_said(quiet_plan):
    long = quiet_plan.plans[0]
    lengths = Lengths.fixed(200_000, 100)
    hard = long.workload.model_copy(update={"lengths": lengths})
    changed = Plans.model_construct(plans=(long.model_copy(update={"workload": hard}),))
    counted = {name: Counted(300.0, 0.0, 0.0) for name in NAMES}  # whose tokens are not known
    seen = RecordedTraffic.of_windows([(600.0, 600.0, counted)])
    found = FleetWatch(OPTIONS).decide(changed, None, seen, 600.0)
    assert found.kind == "impossible"
    assert found.notes


def test_other_lengths_than_planned_are_taken_and_said():
    seen = RecordedTraffic.of_windows([(600.0, 600.0, {"a0": Counted(100.0, 100_000.0, 23_000.0)})])
    found = expected_workload(workload(1.0), {"a0": 2.0}, 60.0, seen)
    assert found.other_lengths == ("a0",)
    first, second = found.workload.adapters[:2]
    assert (first.rate, first.lengths.input_mean, first.lengths.output_mean) == (2.0, 1000.0, 230.0)
    assert (second.rate, second.lengths, found.workload.duration) == (1.0, None, SHORTEST_HOUR)


def test_lengths_of_few_requests_differ_by_chance():
    few, many = (
        RecordedTraffic.of_windows([(600.0, 600.0, {"a0": Counted(n, 250.0 * n, 1.4 * 230.0 * n)})])
        for n in (36.0, 900.0)
    )
    assert expected_workload(workload(1.0), {}, 60.0, few).other_lengths == ()
    assert expected_workload(workload(1.0), {}, 60.0, many).other_lengths == ("a0",)


def test_recorded_arrivals_become_rates():
    replayed = Workload(adapters=(Adapter(name="a", rank=8, rate=1.0, arrivals=(1.0, 2.0)),), duration=600.0)
    changed = expected_workload(replayed, {"a": 3.0}, 600.0).workload
    assert (changed.adapters[0].arrivals, changed.arrivals, changed.rate) == ("poisson", "poisson", 3.0)


def unseen(_):
    """Take a round that no test looks at."""


def day(*rates):
    return RatesOverTime(NAMES, np.array([rates] * len(NAMES), dtype=float), 600.0)


def test_a_simulated_fleet_grows_and_shrinks_with_its_traffic(quiet_plan):
    fleet = SimulatedFleet(day(*[QUIET] * 2, *[BUSY] * 4, *[QUIET] * 10), 600.0, 300.0)
    seen = []
    with WatchHistory(None) as history:
        watch = FleetWatch(OPTIONS._replace(look_back=600.0))
        last = keep_watch(quiet_plan, fleet, watch, history, publish=seen.append)
    gpus = [stretch.gpus for stretch in fleet.stretches]
    assert len(seen) == len(gpus) == 16
    assert gpus[:3] == [quiet_plan.gpus] * 3
    assert max(gpus) > quiet_plan.gpus
    assert gpus[-1] == last.gpus < max(gpus)
    assert fleet.stretches[2].overloaded
    assert fleet.stretches[3].overloaded  # servers that were asked for at the end of the stretch before start in it
    assert not any(stretch.overloaded for stretch in fleet.stretches[4:])
    assert sum(stretch.moves for stretch in fleet.stretches) > 0


@pytest.mark.long
def test_the_same_seed_gives_the_same_watch(quiet_plan):
    def overloaded():
        fleet = SimulatedFleet(day(QUIET, BUSY, BUSY, BUSY), 600.0, 0.0, seed=7)
        with WatchHistory(None) as history:
            keep_watch(quiet_plan, fleet, FleetWatch(OPTIONS), history, publish=unseen)
        return fleet.stretches

    assert overloaded() == overloaded()


@pytest.mark.long
def test_a_watch_that_starts_again_goes_on_with_its_plan(quiet_plan, tmp_path):
    rates = day(QUIET, *[BUSY] * 6)
    with WatchHistory(tmp_path / "h.sqlite") as history:
        first = keep_watch(
            quiet_plan,
            SimulatedFleet(rates, 600.0),
            FleetWatch(OPTIONS),
            history,
            publish=unseen,
            rounds=5,
        )
    assert first.gpus > quiet_plan.gpus
    seen = []
    with WatchHistory(tmp_path / "h.sqlite") as history:
        keep_watch(
            quiet_plan, SimulatedFleet(rates, 600.0), FleetWatch(OPTIONS), history, publish=seen.append, rounds=1
        )
    assert seen[0].running.gpus == first.gpus
    assert "goes on with the plan that it had" in seen[0].observed.notes[0]


def test_plans_keep_no_steps_once_they_run():
    plan = plan_of(LLAMA, placed(LLAMA, "gpu-0", "ab", 8), rates={"a": 0.1, "b": 0.1})
    fleet = SimulatedFleet(RatesOverTime(("a", "b"), np.full((2, 1), 0.1), 600.0), 600.0)
    with WatchHistory(None) as history:
        last = keep_watch(Plans(plans=(plan,)), fleet, FleetWatch(OPTIONS), history, publish=unseen)
    assert last.plans[0].migration is None
