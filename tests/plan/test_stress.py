"""Proportions and scenarios of stress, with numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import Adapter, SpecError, Workload
from adaptwin.plan.stress import Proportion
from adaptwin.plan.stress_scenario import STRESS_SCENARIOS, WRONG_RATES, StressScenario

BURSTS, REGIMES = STRESS_SCENARIOS[-2:]


@pytest.mark.parametrize(
    ("held", "trials", "low", "high"),
    [
        (20, 20, 0.8389, 1.0),  # 20 / (20 + 3.8415)
        (0, 20, 0.0, 0.1611),  # 3.8415 / (20 + 3.8415)
        (10, 10, 0.7225, 1.0),  # 10 / (10 + 3.8415)
        (1, 10, 0.0179, 0.4042),
        (15, 30, 0.3315, 0.6685),  # 0.5 -+ sqrt(3.8415 / (4 (30 + 3.8415)))
        (1, 1, 0.2065, 1.0),  # 1 / (1 + 3.8415)
    ],
)
def test_the_interval_is_that_of_wilson(held, trials, low, high):
    found = Proportion.of(held, trials)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)
    assert found.share == held / trials


@settings(derandomize=True, database=None, deadline=None)
@given(st.integers(1, 400).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_an_interval_holds_the_share_and_that_of_failures_mirrors_it(held_of_trials):
    held, trials = held_of_trials
    found, failures = Proportion.of(held, trials), Proportion.of(trials - held, trials)
    assert 0.0 <= found.low <= found.share + 1e-4
    assert found.share - 1e-4 <= found.high <= 1.0
    assert found.low < found.high
    assert (failures.low, failures.high) == pytest.approx((1.0 - found.high, 1.0 - found.low), abs=1.01e-4)


@pytest.mark.parametrize("share", [0.3, 0.8, 0.95])
def test_nineteen_intervals_in_twenty_hold_the_true_probability(share):
    held = np.random.default_rng(0).binomial(20, share, 4000)
    intervals = [Proportion.of(int(many), 20) for many in held]
    assert np.mean([found.low <= share <= found.high for found in intervals]) >= 0.92


@pytest.fixture
def workload():
    return Workload([Adapter(f"a{i:03}", 8, 0.5 + 0.01 * i) for i in range(200)], duration=600.0)


@pytest.mark.parametrize(("place", "factor"), [(0, 1.0), (1, 1.03), (2, 1.1), (3, 1.25)])
def test_more_traffic_is_more_of_every_adapter(workload, place, factor):
    changed = STRESS_SCENARIOS[place].changed(workload, 5)
    assert changed.rates == pytest.approx([factor * rate for rate in workload.rates])
    assert [a.name for a in changed.adapters] == [a.name for a in workload.adapters]


def test_wrong_rates_have_mean_one_and_a_deviation_of_a_fifth(workload):
    changed = [WRONG_RATES.changed(workload, seed).rates for seed in range(100)]
    ratios = (np.array(changed) / np.array(workload.rates)).ravel()
    assert len(ratios) == 20_000
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.005)
    assert np.std(ratios) == pytest.approx(0.2, abs=0.005)
    assert np.mean(np.log(ratios)) == pytest.approx(-np.log(1.04) / 2, abs=0.005)
    assert abs(np.corrcoef(ratios[:-1], ratios[1:])[0, 1]) < 0.03  # drawn independently


def test_wrong_rates_depend_only_on_the_seed(workload):
    assert WRONG_RATES.changed(workload, 1) == WRONG_RATES.changed(workload, 1) != WRONG_RATES.changed(workload, 2)


def test_wrong_rates_of_timestamps_leave_some_out_or_add_some(workload):
    own = workload.adapters[0].model_copy(update={"arrivals": tuple(float(i) for i in range(500))})
    replayed = workload.model_copy(update={"adapters": (own, *workload.adapters[1:])})
    numbers = [len(WRONG_RATES.changed(replayed, seed).adapters[0].arrivals) for seed in range(200)]
    assert np.mean(numbers) == pytest.approx(500, rel=0.05)
    assert np.std(numbers) == pytest.approx(100, rel=0.25)


def test_bursts_and_regimes_change_arrivals_and_no_rate(workload):
    for scenario, arrivals in ((BURSTS, "gamma:cv=2"), (REGIMES, "regimes:period=300,factor=1.5")):
        changed = scenario.changed(workload, 1)
        assert (changed.arrivals, changed.adapters) == (arrivals, workload.adapters)
        assert scenario.unaffected(workload) == 0


def test_adapters_with_arrivals_of_their_own_keep_them_under_bursts(workload):
    own = tuple(a.model_copy(update={"arrivals": (1.0, 2.0)}) for a in workload.adapters[:3])
    some = workload.model_copy(update={"adapters": own + workload.adapters[3:]})
    assert BURSTS.changed(some, 1).adapters == some.adapters
    assert BURSTS.unaffected(some) == 3


def test_timestamps_of_the_workload_stay_under_bursts(workload):
    replayed = workload.model_copy(update={"arrivals": tuple(float(i) for i in range(590))})
    changed = BURSTS.changed(replayed, 1)
    assert sorted(time for a in changed.adapters for time in a.arrivals) == list(replayed.arrivals)
    assert BURSTS.unaffected(replayed) == REGIMES.unaffected(replayed) == len(workload)
    assert WRONG_RATES.unaffected(replayed) == 0


def test_a_file_of_rates_keeps_its_pattern_under_bursts(workload, tmp_path):
    (tmp_path / "day.csv").write_text("start,factor\n0,1\n60,2\n", encoding="utf-8")
    patterned = workload.with_arrivals(f"rates:{tmp_path / 'day.csv'}")
    assert BURSTS.changed(patterned, 1).arrivals == f"rates:cv=2,{tmp_path / 'day.csv'}"
    assert BURSTS.unaffected(patterned) == 0
    assert REGIMES.unaffected(patterned) == len(workload)


def test_a_plan_for_these_bursts_is_not_stressed_with_them_again(workload):
    assert BURSTS.unaffected(workload.with_arrivals("gamma:cv=2")) == len(workload)


def test_factor_and_error_multiply(workload):
    both = StressScenario("both", factor=2.0, rate_error=0.2).changed(workload, 3)
    assert both.rates == pytest.approx([2.0 * rate for rate in WRONG_RATES.changed(workload, 3).rates])


def test_a_proportion_of_nothing_is_refused():
    with pytest.raises(SpecError, match="trials"):
        Proportion(0, 0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"factor": -1.0}, "^StressScenario.factor: "),
        ({"factor": float("nan")}, "^StressScenario.factor: "),
        ({"rate_error": -0.1}, "^StressScenario.rate_error: "),
        ({"arrivals": "bursts"}, "^StressScenario.arrivals: 'bursts' is not a known arrival process"),
        ({"arrivals": "gamma:cv=0"}, "^StressScenario.arrivals: 'gamma:cv=0': cv must be from 0.01 to 100"),
    ],
)
def test_a_scenario_that_cannot_be_is_refused(fields, message):
    with pytest.raises(SpecError, match=message):
        StressScenario("wrong", **fields)
