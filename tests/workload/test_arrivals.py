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
    with pytest.raises(SpecError, match="at least 0 and in ascending order"):
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
