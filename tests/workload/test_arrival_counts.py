"""Numbers of arrivals, against theory: each family brings rate times duration from the first second on."""

import numpy as np
import pytest
from scipy.stats import chi2

from adaptwin import Adapter, Workload
from adaptwin.workload.demand.expected_requests import expected_requests
from adaptwin.workload.drawing.requests import draw_requests

ADAPTERS = 4000
RATE = 0.05
HOUR = 3600.0
# Each with the variance of the number of arrivals in an hour over its mean, which is rate times duration. Of a renewal
# process in equilibrium it tends to cv^2; of regimes it is 1 + rate times period times the relative variance of the
# rate, which is (factor - 1)^2 / factor.
FAMILIES = {
    "poisson": 1.0,
    "gamma:cv=0.3": 0.09,
    "gamma:cv=2": 4.0,
    "gamma:cv=4": 16.0,
    "regimes:period=60,factor=2": 1.0 + RATE * 60.0 * 0.5,
    "regimes:period=300,factor=1.5": 1.0 + RATE * 300.0 / 6.0,
}
every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def drawn():
    """Return a function that draws an hour of a family: arrival times in seconds, and adapters."""
    known = {}

    def of(family):
        if family not in known:
            adapters = [Adapter(f"a{i}", 8, RATE) for i in range(ADAPTERS)]
            requests = draw_requests(Workload(adapters, arrivals=family, duration=HOUR, seed=4))
            known[family] = requests.arrival / 1e9, requests.adapter
        return known[family]

    return of


@every_family
def test_the_mean_number_is_rate_times_duration(drawn, family):
    times, _ = drawn(family)
    mean = ADAPTERS * RATE * HOUR
    assert abs(len(times) - mean) < 4.0 * np.sqrt(FAMILIES[family] * mean)


@every_family
def test_the_variance_is_that_of_theory(drawn, family):
    counts = np.bincount(drawn(family)[1], minlength=ADAPTERS)
    assert counts.var() / (RATE * HOUR) == pytest.approx(FAMILIES[family], rel=0.12, abs=0.05)


@every_family
def test_the_first_minute_brings_as_many_as_any_other(drawn, family):
    """Chi-square over the adapters' numbers of the first minute, and of its first seconds, against the mean."""
    times, adapter = drawn(family)
    for start, end in ((0.0, 1.0), (0.0, 10.0), (0.0, 60.0), (60.0, 120.0), (1800.0, 1860.0)):
        inside = (times >= start) & (times < end)
        groups = np.bincount(adapter[inside] % 20, minlength=20)  # 200 adapters each
        mean = ADAPTERS / 20 * RATE * (end - start)
        variance = mean * max(1.0, 1.5 * FAMILIES[family])  # within a minute, bursty counts vary by less than cv^2
        assert ((groups - mean) ** 2 / variance).sum() < chi2.ppf(0.9999, 20)
        assert abs(groups.sum() - 20 * mean) < 4.5 * np.sqrt(20 * variance)


@every_family
def test_rare_adapters_bring_no_more_than_their_rate(family):
    """Most of these adapters have no request in the hour, so that all depends on the first gap."""
    adapters = [Adapter(f"a{i}", 8, 0.001 / 3.6) for i in range(20_000)]
    counts = [
        len(draw_requests(Workload(adapters, arrivals=family, duration=HOUR, seed=seed)).arrival) for seed in range(3)
    ]
    assert np.mean(counts) == pytest.approx(20_000, rel=0.05)


@every_family
@pytest.mark.parametrize("stretch", [(0.0, 1.0), (0.0, 60.0), (1700.0, 1900.0), (3000.0, HOUR)])
def test_the_expected_number_is_the_mean_of_what_is_drawn(drawn, family, stretch):
    workload = Workload([Adapter("a", 8, RATE)], arrivals=family, duration=HOUR)
    expected = ADAPTERS * float(expected_requests(workload, *stretch)[0])
    times, _ = drawn(family)
    found = np.count_nonzero((times >= stretch[0]) & (times < stretch[1]))
    assert abs(found - expected) < 4.5 * np.sqrt(expected * max(1.0, 1.5 * FAMILIES[family]))


def test_a_rates_file_may_have_bursts_inside_its_minutes(tmp_path):
    file = tmp_path / "day.csv"
    file.write_text("start,factor\n0,2\n1200,0\n2400,1\n", encoding="utf-8")
    adapters = [Adapter(f"a{i}", 8, RATE) for i in range(ADAPTERS)]
    workload = Workload(adapters, arrivals=f"rates:cv=3,{file}", duration=HOUR)
    times = draw_requests(workload).arrival / 1e9
    found = np.histogram(times, (0.0, 60.0, 1200.0, 2400.0, HOUR))[0]
    expected = [expected_requests(workload, *stretch).sum() for stretch in ((0, 60), (60, 1200), (1200, 2400))]
    assert found[2] == expected[2] == 0
    for i in (0, 1):
        assert abs(found[i] - expected[i]) < 4.0 * 3.0 * np.sqrt(expected[i])
    counts = np.bincount(draw_requests(workload).adapter, minlength=ADAPTERS)
    assert counts.var() / counts.mean() == pytest.approx(9.0, rel=0.12)
