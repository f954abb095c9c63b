"""find_schedule: plans that follow each other around the day, and GPU-hours worked out by hand."""

import numpy as np
import pytest

from adaptwin import Adapter, Plan, SpecError, Workload, verify
from adaptwin.placement.busiest_period import plans_for_busiest_period
from adaptwin.plan.migration import Migration
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.schedule import Schedule
from adaptwin.replanning.find_schedule import ChangeCosts, find_schedule
from adaptwin.replanning.ordering import moves
from adaptwin.report.plan.schedule import schedule_sentences
from adaptwin.workload.rates_over_time import RatesOverTime

NAMES = tuple("abcdefgh")
ADAPTERS = Workload([Adapter(name, 16, 0.0) for name in NAMES])
COSTS = ChangeCosts(move=0.001, restart=0.02, lead=300.0)  # a GPU saved for ten minutes is worth 0.17 GPU-hours


def over_time(*totals, period=600.0, start=0.0):
    """The rates of eight adapters with the same traffic."""
    return RatesOverTime(NAMES, np.outer(np.full(8, 1 / 8), totals), period, start=start)


def static_plan(h100, rates, **options):
    return plans_for_busiest_period([h100], ADAPTERS, rates, PlanOptions(**options))[0].plan


@pytest.fixture(scope="module")
def day(h100):
    """A day of six periods of ten minutes: two servers are needed in two of them."""
    rates = over_time(5, 10, 60, 55, 10, 5, start=7 * 3600.0)
    return rates, find_schedule(static_plan(h100, rates), rates, costs=COSTS)


def change(before, extra, moved=0, restarts=0):
    return Migration(
        gpus_before=before, extra_gpus=extra, moves=moved, restarts=restarts, added=0, departed=0, steps=()
    )


@pytest.mark.parametrize(
    ("before", "after", "extra", "hours"),
    [
        (2, 2, 0, 0.0),
        (2, 4, 0, 2 / 6),  # two servers start ten minutes early
        (4, 2, 0, 0.0),
        (4, 3, 1, 1 / 6),  # one runs only during the change
        (2, 3, 1, 2 / 6),
    ],
)
def test_a_change_costs_what_runs_beside_the_plan_before(before, after, extra, hours):
    costs = ChangeCosts(move=0.01, restart=0.2, lead=600.0)
    assert costs.gpu_hours(change(before, extra), after) == pytest.approx(hours)
    assert costs.total(change(before, extra, 7, 2), after) == pytest.approx(hours + 0.07 + 0.4)


def test_gpus_follow_the_traffic_and_neighbours_with_the_same_plan_are_one_entry(day):
    entries = day[1].schedule.entries
    assert [(entry.at, entry.until, entry.gpus) for entry in entries] == [
        ("07:20", "07:40", 2),
        ("07:40", "07:20", 1),
    ]
    assert [(entry.started, entry.stopped) for entry in entries] == [(1, 0), (0, 1)]
    assert [entry.request_rate for entry in entries] == pytest.approx([60.0, 10.0])
    assert [entry.plan for entry in entries] == ["plan-0720.yaml", "plan-0740.yaml"]


def test_the_gpu_hours_are_those_of_the_servers_that_run(day):
    schedule = day[1].schedule
    assert [entry.gpu_hours for entry in schedule.entries] == pytest.approx([2 * 2 / 6 + 1 / 12, 4 / 6], abs=1e-3)
    assert schedule.gpu_hours == pytest.approx(17 / 12, abs=1e-3)
    assert schedule.static_gpu_hours == pytest.approx(2.0)
    assert schedule.saved_gpu_hours == pytest.approx(7 / 12, abs=1e-3)


def test_each_plan_is_verified_in_its_periods_and_its_migration_leads_to_it(day):
    rates, found = day
    assert found.schedule.verified
    assert found.plans[0].assumptions[-1] == "rates of 07:20-07:30, the busiest of the 2 periods that the plan serves"
    assert found.schedule.static_verified
    for before, plan, entry in zip([found.plans[-1], *found.plans], found.plans, found.schedule.entries, strict=False):
        assert plan.verified
        assert plan.migration.moves == moves(before, plan) == entry.moves
        first = round((entry.start - rates.start) / rates.period)
        for place in range(first, first + round((entry.end - entry.start) / rates.period)):
            there = rates.workload_in(place % len(rates), plan.workload)
            assert verify(plan.model_copy(update={"workload": there}), seed=99).ok


@pytest.mark.long
def test_the_same_seed_gives_the_same_schedule(h100, day):
    rates, found = day
    again = find_schedule(static_plan(h100, rates), rates, costs=COSTS)
    assert again.schedule == found.schedule


def test_files_of_a_schedule_are_read_again(day, tmp_path):
    found = day[1]
    found.write(tmp_path)
    assert Schedule.read(tmp_path / "schedule.yaml") == found.schedule
    assert Plan.read(tmp_path / "static.yaml") == found.static
    assert [Plan.read(tmp_path / entry.plan) for entry in found.schedule.entries] == list(found.plans)


def test_traffic_that_does_not_change_needs_one_plan(h100):
    rates = over_time(10, 10, 10)
    found = find_schedule(static_plan(h100, rates), rates)
    (entry,) = found.schedule.entries
    assert (entry.at, entry.until, entry.gpus, entry.moves) == ("00:00", "00:00", 1, 0)
    assert found.schedule.saved_gpu_hours == 0.0
    assert found.plans[0].migration is None


@pytest.mark.long
def test_a_gpu_is_kept_where_the_moves_cost_more_than_it_saves(h100):
    rates = over_time(55, 5)
    static = static_plan(h100, rates)
    dear = find_schedule(static, rates, costs=ChangeCosts(move=1.0, restart=1.0, lead=0.0))
    cheap = find_schedule(static, rates, costs=ChangeCosts(move=0.0, restart=0.0, lead=0.0))
    assert [entry.gpus for entry in dear.schedule.entries] == [2]
    assert {entry.gpus for entry in cheap.schedule.entries} == {1, 2}


def test_a_time_limit_leaves_a_verified_schedule_and_is_said(h100, day):
    rates, found = day
    hurried = find_schedule(found.static, rates, costs=COSTS, time_limit=1e-6).schedule
    assert hurried.verified
    assert hurried.time_limit_hit
    assert not found.schedule.time_limit_hit
    assert "The time limit ended the search early." in schedule_sentences(hurried)


def test_a_period_without_requests_is_planned(h100):
    rates = over_time(10, 0)
    assert find_schedule(static_plan(h100, rates), rates).schedule.verified


@pytest.mark.long
def test_spare_servers_count_as_gpus_in_every_period(h100):
    rates = over_time(55, 5)
    found = find_schedule(static_plan(h100, rates, spare=1), rates, costs=ChangeCosts(move=0.0, restart=0.0, lead=0.0))
    assert found.schedule.static_gpus == found.static.gpus == 3
    assert sorted(entry.gpus for entry in found.schedule.entries) == [2, 3]
    assert all(plan.options.spare == 1 and plan.failover for plan in found.plans)


@pytest.mark.parametrize(
    ("costs", "field"),
    [
        (ChangeCosts(move=-1.0), "move_cost"),
        (ChangeCosts(restart=float("inf")), "restart_cost"),
        (ChangeCosts(lead=3600.0), "lead"),
    ],
)
def test_wrong_costs_are_refused(day, costs, field):
    rates, found = day
    with pytest.raises(SpecError) as caught:
        find_schedule(found.static, rates, costs=costs)
    assert caught.value.field == field


def test_a_given_number_of_gpus_has_no_schedule(h100):
    rates = over_time(10, 5)
    static = static_plan(h100, rates, objective="min-latency", gpus=2)
    with pytest.raises(SpecError, match="given number of GPUs"):
        find_schedule(static, rates)
