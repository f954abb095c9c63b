"""Arrival patterns: recorded requests as timestamps, or as rates that keep their bursts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import Adapter
from adaptwin.workload.arrivals import read_rates
from adaptwin.workload.drawing.requests import NANOSECONDS, draw_requests
from adaptwin.workload.sources.arrival_pattern import (
    MOST_RATES,
    MOST_TIMESTAMPS,
    kept_as,
    rate_factors,
    recorded_workload,
)
from adaptwin.workload.sources.recording import Recording

THREE = (Adapter("a", 8, 1.0), Adapter("b", 16, 3.0), Adapter("c", 8, 0.0))


def recording(time, duration, **fields):
    tokens = np.arange(1, len(time) + 1)
    return Recording(np.asarray(time, np.float64), tokens, 10 * tokens, duration, **fields)


def poisson(rates, seed):
    """Draw arrivals whose rate is that of each second in turn."""
    generator = np.random.default_rng(seed)
    counts = generator.poisson(rates)
    return np.sort(np.repeat(np.arange(len(rates)), counts) + generator.random(counts.sum()))


def factor_at(factors, seconds):
    starts, values = np.array(factors).T
    return values[np.searchsorted(starts, seconds, side="right") - 1]


def test_many_requests_are_kept_as_rates():
    assert kept_as(MOST_TIMESTAMPS) == "timestamps"
    assert kept_as(MOST_TIMESTAMPS + 1) == "rates"
    assert kept_as(1, "rates") == "rates"


def test_traffic_without_names_is_shared_out_in_proportion_to_the_rates():
    workload = recorded_workload(recording([0.0, 1.0, 2.5, 7.0], 8.0), THREE, seed=4)
    assert [adapter.rate for adapter in workload.adapters] == [0.125, 0.375, 0.0]
    assert workload.arrivals == (0.0, 1.0, 2.5, 7.0)
    assert workload.lengths.pairs == ((1, 10), (2, 20), (3, 30), (4, 40))
    assert (workload.duration, workload.seed) == (8.0, 4)


def test_requests_that_name_their_adapter_go_to_it():
    named = recording([0.0, 1.0, 2.5, 7.0], 8.0, adapter=np.array([1, 0, 1, 1]))
    a, b, c = recorded_workload(named, THREE).adapters
    assert (a.arrivals, b.arrivals, c.arrivals) == ((1.0,), (0.0, 2.5, 7.0), ())
    assert (a.lengths.pairs, b.lengths.pairs) == (((2, 20),), ((1, 10), (3, 30), (4, 40)))
    assert [a.rate, b.rate, c.rate] == [0.125, 0.375, 0.0]


def test_rates_of_named_adapters_are_their_own(tmp_path):
    named = recording(np.arange(100.0), 100.0, adapter=np.arange(100) % 4 // 2)  # 0, 0, 1, 1
    workload = recorded_workload(named, THREE, keep="rates", rates_file=tmp_path / "r.csv", rate_scale=2.0)
    assert [adapter.rate for adapter in workload.adapters] == [1.0, 1.0, 0.0]
    assert workload.adapters[0].lengths.mean_input == pytest.approx(np.mean([i + 1 for i in range(100) if i % 4 < 2]))
    assert workload.arrivals == f"rates:{tmp_path / 'r.csv'}"


def test_times_in_a_file_lie_before_the_end():
    workload = recorded_workload(recording([0.0, np.nextafter(8.0, 0.0)], 8.0), THREE)
    assert workload.arrivals == (0.0, 7.9999)


def test_a_constant_rate_is_one_factor():
    assert rate_factors(np.arange(0.5, 600.0, 0.5), 600.0) == [(0.0, 1.0)]


def test_one_block_holds_one_factor_where_seconds_vary_by_chance_only():
    # One request per second in the first minute, five in the second: minutes vary, seconds within them do not.
    time = np.concatenate([np.arange(60.0), 60.0 + np.arange(300) / 5])
    (first, low), (second, high) = rate_factors(time, 120.0)
    assert (first, second) == (0.0, 60.0)
    # Counts 60 and 300 around 180: squares 28,800, by chance 180; deviations shrink by the root of 1 - 1 / 160.
    shrunk = (1 - 180 / 28_800) ** 0.5
    assert [low, high] == pytest.approx([1 - 2 / 3 * shrunk, 1 + 2 / 3 * shrunk])


def test_bursts_of_a_second_are_kept():
    time = np.concatenate([np.full(50, float(second)) for second in range(0, 600, 10)])
    factors = rate_factors(time, 600.0)
    burst, pause = factor_at(factors, 300.5), factor_at(factors, 305.5)
    # Counts 50 and 0 around 5, 1 : 9. Squares 60 * 2,250, by chance 590 * 5: shrink by the root of 1 - 2,950 / 135,000.
    shrunk = (1 - 590 * 5 / 135_000) ** 0.5
    assert [burst, pause] == pytest.approx([1 + 9 * shrunk, 1 - shrunk])


@given(seed=st.integers(0, 1000), seconds=st.floats(30.0, 400.0), mean=st.floats(0.1, 20.0), spread=st.floats(0, 2))
@settings(max_examples=50, deadline=None)
def test_factors_are_of_mean_1(seed, seconds, mean, spread):
    generator = np.random.default_rng(seed)
    time = poisson(mean * np.exp(spread * generator.standard_normal(int(seconds))), seed)
    if not len(time):
        return
    factors = rate_factors(time, seconds)
    starts = np.array([start for start, _ in factors])
    widths = np.diff(starts, append=seconds)
    values = np.array([factor for _, factor in factors])
    assert values.min() >= 0
    assert starts[0] == 0
    assert (values * widths).sum() == pytest.approx(seconds)


@pytest.mark.parametrize("period", [1, 20, 300])
def test_drawn_requests_vary_as_those_recorded(tmp_path, period):
    """The variance of the number of requests per second and minute is kept, whatever the length of the bursts."""
    hour = 3600
    level = np.exp(np.random.default_rng(1).standard_normal(hour // period + 1))
    recorded = recording(poisson(8.0 * np.repeat(level, period)[:hour] / level.mean(), 2), float(hour))
    adapters = [Adapter(f"a{i}", 8, 1.0) for i in range(50)]
    workload = recorded_workload(recorded, adapters, keep="rates", rates_file=tmp_path / "r.csv")
    drawn = [draw_requests(workload, seed).arrival / NANOSECONDS for seed in range(5)]
    assert np.mean([len(time) for time in drawn]) == pytest.approx(len(recorded.time), rel=0.02)
    for seconds in (1.0, 10.0, 60.0):
        found = np.mean([recording(time, float(hour)).dispersion(seconds) for time in drawn])
        assert found == pytest.approx(recorded.dispersion(seconds), rel=0.15)


def test_a_file_of_rates_reads_as_it_was_written(tmp_path):
    recorded = recording(poisson(np.linspace(1.0, 9.0, 1000), 3), 1000.0)
    path = tmp_path / "r.csv"
    recorded_workload(recorded, THREE, keep="rates", rates_file=path)
    assert read_rates(path) == tuple(
        pytest.approx(pair, rel=1e-3) for pair in rate_factors(recorded.time, recorded.duration)
    )


def test_long_recordings_have_wider_factors():
    week = 7 * 86_400
    time = np.arange(0.0, week, 30.0) ** 1.1 % week
    factors = rate_factors(np.sort(time), float(week))
    assert 1 < len(factors) <= 2 * MOST_RATES
    assert all(start % 60 == 0 for start, _ in factors)
