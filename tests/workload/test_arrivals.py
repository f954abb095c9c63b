"""Arrivals: the names of the families, and how regular or bursty their arrivals are."""

import numpy as np
import pytest

from adaptwin import Adapter, SpecError, Workload
from adaptwin.workload.arrivals import ArrivalProcess, parse_arrivals, read_rates
from adaptwin.workload.drawing.requests import draw_requests

SECOND = 1_000_000_000


def times(arrivals, rate=2.0, duration=20_000.0, seed=0):
    """Return the arrival times of one adapter, in seconds."""
    workload = Workload([Adapter("a", 8, rate)], arrivals=arrivals, duration=duration, seed=seed)
    return draw_requests(workload).arrival / SECOND


def gap_cv(arrivals):
    gaps = np.diff(times(arrivals))
    return gaps.std() / gaps.mean()


def test_poisson_counts_are_near_rate_times_window():
    assert len(times("poisson")) == pytest.approx(40_000, abs=4 * 200)  # 200 is the standard deviation


def test_poisson_counts_vary_as_much_as_their_mean():
    counts = np.bincount(times("poisson").astype(int), minlength=20_000)
    assert counts.var() / counts.mean() == pytest.approx(1.0, abs=0.05)


def test_poisson_gaps_have_a_cv_of_one():
    assert gap_cv("poisson") == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("cv", [0.5, 1.5, 3.0])
def test_gamma_gaps_have_the_given_cv(cv):
    assert gap_cv(f"gamma:cv={cv}") == pytest.approx(cv, rel=0.06)


@pytest.mark.parametrize("cv", [0.5, 3.0])
def test_gamma_arrivals_keep_the_rate(cv):
    assert len(times(f"gamma:cv={cv}")) == pytest.approx(40_000, rel=0.05)


def test_regimes_keep_the_mean():
    counts = [len(times("regimes:period=50,factor=3", seed=seed)) for seed in range(5)]
    assert np.mean(counts) == pytest.approx(40_000, rel=0.03)


def test_regimes_switch_between_the_factor_and_its_inverse():
    per_period = np.histogram(times("regimes:period=1000,factor=2"), bins=20, range=(0, 20_000))[0] / 2000.0
    assert all(min(abs(factor - 2.0), abs(factor - 0.5)) < 0.15 for factor in per_period)
    assert per_period.max() > 1 > per_period.min()


def test_regimes_of_two_adapters_switch_independently():
    adapters = [Adapter(name, 8, 2.0) for name in ("a", "b")]
    requests = draw_requests(Workload(adapters, arrivals="regimes:period=100,factor=4", duration=10_000.0))
    counts = [np.histogram(requests.arrival[requests.adapter == i], bins=100)[0] for i in (0, 1)]
    assert abs(np.corrcoef(*counts)[0, 1]) < 0.4


def test_a_rates_file_multiplies_the_rate(tmp_path):
    file = tmp_path / "day.csv"
    file.write_text("start,factor\n0,1\n5000,3\n10000,0\n15000,0.5\n", encoding="utf-8")
    counts = np.histogram(times(f"rates:{file}"), bins=4, range=(0, 20_000))[0]
    assert counts[2] == 0
    assert counts[[0, 1, 3]] / 10_000 == pytest.approx([1.0, 3.0, 0.5], rel=0.06)


def test_before_the_first_start_of_a_rates_file_the_factor_is_one(tmp_path):
    file = tmp_path / "late.csv"
    file.write_text("start,factor\n10000,0\n", encoding="utf-8")
    found = times(f"rates:{file}")
    assert found.max() < 10_000
    assert len(found) == pytest.approx(20_000, rel=0.05)


def test_a_rates_file_is_looked_for_beside_the_file_that_names_it(tmp_path):
    (tmp_path / "day.csv").write_text("start,factor\n0,2\n", encoding="utf-8")
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text("adapters: [{name: a, rank: 8, rate: 1}]\narrivals: rates:day.csv\n", encoding="utf-8")
    assert Workload.read(fleet).arrivals == f"rates:{tmp_path / 'day.csv'}"


def test_a_rates_file_with_an_option_is_looked_for_beside_the_file_that_names_it(tmp_path):
    (tmp_path / "a,b.csv").write_text("start,factor\n0,2\n", encoding="utf-8")
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text('adapters: [{name: a, rank: 8, rate: 1}]\narrivals: "rates:cv=2,a,b.csv"\n', encoding="utf-8")
    assert Workload.read(fleet).arrivals == f"rates:cv=2,{tmp_path / 'a,b.csv'}"
    assert parse_arrivals(Workload.read(fleet).arrivals) == ArrivalProcess(cv=2.0, rates=((0.0, 2.0),))


def test_the_path_of_other_arrivals_starts_from_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "day.csv").write_text("start,factor\n0,2\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    workload = Workload([Adapter("a", 8, 1.0)])
    assert workload.with_arrivals("rates:day.csv").arrivals == f"rates:{tmp_path / 'day.csv'}"
    assert workload.with_arrivals("rates:cv=3,day.csv").arrivals == f"rates:cv=3,{tmp_path / 'day.csv'}"
    assert workload.with_arrivals("gamma:cv=3").arrivals == "gamma:cv=3"


def test_a_rate_counts_with_the_mean_factor_of_its_file(tmp_path):
    """From 0 to 10 s the factor is 1, then 4 to 40 s, then 0: 10 + 120 seconds at factor 1 in a window of 100."""
    file = tmp_path / "day.csv"
    file.write_text("start,factor\n10,4\n40,0\n", encoding="utf-8")
    workload = Workload([Adapter("a", 8, 2.0), Adapter("b", 8, 1.0, arrivals="poisson")], duration=100.0)
    workload = workload.with_arrivals(f"rates:{file}")
    assert workload.rates == pytest.approx([2.6, 1.0])
    assert workload.rate == pytest.approx(3.6)
    assert workload.model_copy(update={"duration": 20.0}).rates == pytest.approx([5.0, 1.0])


@pytest.mark.parametrize(
    ("arrivals", "message"),
    [
        ("gamma:cv=0.001", r"cv must be from 0.01 to 100"),
        ("gamma:cv=101", r"cv must be from 0.01 to 100"),
        ("gamma:cv=nan", r"cv must be from 0.01 to 100"),
        ("regimes:period=0.5", r"period must be from 1 to 1e\+08"),
        ("regimes:factor=1000", r"factor must be from 0.01 to 100"),
        ((0.0, float("nan"), 1.0), "timestamp 1 is nan; allowed: from 0"),
        ((0.0, float("inf")), r"timestamp 1 is inf; allowed: .* to 3.2e\+08"),
        ((float("nan"),), "timestamp 0 is nan"),
        ((4e8,), r"timestamp 0 is 4e\+08"),
    ],
)
def test_arrivals_out_of_range_are_refused_with_what_is_allowed(arrivals, message):
    with pytest.raises(SpecError, match=f"Workload.arrivals: .*{message}"):
        Workload([Adapter("a", 8, 1.0)], arrivals=arrivals)


@pytest.mark.parametrize("duration", [1e12, float("inf"), float("nan"), 0.0, -1.0])
def test_windows_out_of_range_are_refused(duration):
    with pytest.raises(SpecError, match=r"Workload\.duration"):
        Workload([Adapter("a", 8, 1.0)], duration=duration)


@pytest.mark.parametrize("rate", [1e9, float("inf"), float("nan"), -1.0])
def test_rates_out_of_range_are_refused(rate):
    with pytest.raises(SpecError, match=r"Adapter\.rate"):
        Adapter("a", 8, rate)


def test_the_longest_window_is_drawn_to_its_end():
    """Ten years are 3.2e17 nanoseconds, which 64 bits hold."""
    found = times("gamma:cv=2", rate=1e-5, duration=3.2e8)
    assert len(found) == pytest.approx(3200, abs=4 * 2 * 3200**0.5)
    assert found.max() > 3.19e8


def test_more_requests_than_memory_holds_are_refused_before_any_is_drawn():
    workload = Workload([Adapter(f"a{i}", 8, 1e6) for i in range(3)], duration=3600.0)
    with pytest.raises(SpecError, match=r"rate: about 10,800,000,000 requests in 3,600 s are too many: .*100,000,000;"):
        draw_requests(workload)


def test_more_changes_of_the_rate_than_time_allows_are_refused():
    adapters = [Adapter(f"a{i}", 8, 1e-6) for i in range(100)]
    workload = Workload(adapters, arrivals="regimes:period=1", duration=3.2e8)
    with pytest.raises(SpecError, match=r"arrivals: about 32,000,000,000 stretches .* at most 10,000,000,000; raise"):
        draw_requests(workload)


def test_timestamps_after_the_window_are_counted():
    own = Adapter("b", 8, 1.0, arrivals=(1.0, 12.0))
    workload = Workload([Adapter("a", 8, 1.0), own], arrivals=(0.0, 9.9, 10.0, 11.0), duration=10.0)
    assert workload.late_timestamps == (3, 6)
    assert workload.dealt().late_timestamps == (3, 6)
    assert len(draw_requests(workload).arrival) == 3
    assert Workload([Adapter("a", 8, 1.0)]).late_timestamps == (0, 0)


@pytest.mark.parametrize(
    ("text", "process"),
    [
        ("poisson", ArrivalProcess()),
        ("gamma:cv=3", ArrivalProcess(cv=3.0)),
        ("gamma", ArrivalProcess(cv=2.0)),
        ("regimes:period=60,factor=2", ArrivalProcess(period=60.0, factor=2.0)),
        ("regimes", ArrivalProcess(period=300.0, factor=1.5)),
    ],
)
def test_arrivals_by_name(text, process):
    assert parse_arrivals(text) == process


@pytest.mark.parametrize("text", ["weibull", "gamma:shape=2", "gamma:cv=high", "gamma:cv=0", "regimes:period=-1"])
def test_unknown_arrivals_are_refused_by_name(text):
    with pytest.raises(SpecError, match=rf"Workload.arrivals: '{text}'"):
        Workload([], arrivals=text)


@pytest.mark.parametrize("timestamps", [(1.0, 0.5), (-1.0, 2.0)])
def test_timestamps_out_of_order_are_refused(timestamps):
    with pytest.raises(SpecError, match=r"timestamp \d is .*; allowed: from"):
        Adapter("a", 8, 1.0, arrivals=timestamps)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("start,factor\n", "has no rows"),
        ("begin,factor\n0,1\n", "start: missing"),
        ("start,factor\n0,1\n5,fast\n", "line 3: .*both must be numbers"),
        ("start,factor\n5,1\n5,2\n", "line 3: .*starts must be at least 0 and increase"),
        ("start,factor\n0,-1\n", "line 2: .*at least 0"),
    ],
)
def test_a_wrong_rates_file_names_the_place(tmp_path, text, message):
    file = tmp_path / "day.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=message) as caught:
        read_rates(file)
    assert caught.value.file == file


def test_a_missing_rates_file_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"none\.csv: no such file"):
        Workload([], arrivals=f"rates:{tmp_path / 'none.csv'}")
