"""Plans for rates that change over time: the busiest period, and the others, in which the plan is held."""

import numpy as np
import pytest

from adaptwin import Adapter, Infeasible, Workload
from adaptwin.placement.busiest_period import failing_in_period, failing_periods, plans_for_busiest_period
from adaptwin.plan.options import PlanOptions
from adaptwin.report.plan.periods import period_sentences
from adaptwin.workload.rates_over_time import RatesOverTime

PERIOD = 600.0
NAMES = ("a", "b", "c", "d", "e")
ADAPTERS = Workload([Adapter(name, 16, 0.0) for name in NAMES])


def rates(*rows):
    return RatesOverTime(NAMES, np.array(rows, np.float64), PERIOD)


# Two servers for two adapters with 38 requests/s each; then the other three have 25 each, two of them on one server.
SHIFTING = rates([38, 1], [38, 1], [1, 25], [1, 25], [1, 25])


def planned(h100, over_time, **options):
    return plans_for_busiest_period([h100], ADAPTERS, over_time, PlanOptions(**options))[0]


def test_a_plan_that_holds_in_every_period_is_made_once(h100):
    found = planned(h100, rates([20, 1], [1, 1], [1, 1], [1, 2], [1, 1]))
    assert (found.rounds, found.raised, found.failing) == (1, (), ())
    assert found.planned_for == "00:00-00:10"
    assert found.plan.verified
    assert found.plan.workload.rate == 24.0
    assert "All 2 periods were simulated, and the plan holds in each of them." in period_sentences(found)


@pytest.mark.long
def test_where_traffic_shifts_to_other_adapters_their_rates_are_raised(h100):
    found = planned(h100, SHIFTING)
    assert found.rounds > 1
    assert found.raised == ("00:10-00:20",)
    assert found.failing == ()
    assert found.plan.verified
    assert failing_periods(found.plan, SHIFTING) == {}
    assert found.plan.workload.rate > 79.0
    assert found.plan.lower_bound == planned(h100, rates([38, 38], [38, 38], [1, 1], [1, 1], [1, 1])).plan.lower_bound
    assert "and for adapters that have more then, of 00:10-00:20" in found.plan.assumptions[-1]


def test_a_plan_that_fails_after_the_last_round_is_not_verified(h100, monkeypatch):
    monkeypatch.setattr("adaptwin.placement.busiest_period.MOST_PLANS_MADE", 1)
    found = planned(h100, SHIFTING)
    assert not found.plan.verified
    assert found.plan.verified_seeds == ()
    assert found.failing == ("00:10-00:20",)
    assert period_sentences(found)[-1].endswith("the plan does not hold at 00:10-00:20.")


def test_servers_that_are_alike_in_the_busiest_period_are_all_simulated_in_the_others(h100):
    plan = planned(h100, rates(*[[12, 12]] * 5)).plan
    assert len(plan.servers) == 2
    first, second = plan.servers
    plan = plan.model_copy(update={"servers": (first, second.model_copy(update={"like": first.name}))})
    shifted = rates(*([12, 90 if name in second.adapters else 1] for name in NAMES))
    assert failing_in_period(plan, shifted, 1) == {second.name}


def test_spare_servers_hold_in_every_period_too(h100):
    found = planned(h100, rates([40, 1], [1, 2], [1, 1], [1, 2], [1, 1]), spare=1)
    assert found.plan.failover
    assert found.failing == ()


def test_under_an_objective_that_promises_nothing_the_periods_are_not_simulated(h100):
    found = planned(h100, SHIFTING, objective="max-throughput", gpus=1)
    assert not found.checked
    assert "were not simulated" in period_sentences(found)[-1]


def test_an_adapter_that_no_number_of_servers_serves_is_refused(h100):
    small = h100.model_copy(update={"memory": h100.memory.model_copy(update={"gpu_bytes": 1.0})})
    with pytest.raises(Infeasible):
        plans_for_busiest_period([small], ADAPTERS, SHIFTING, PlanOptions())
