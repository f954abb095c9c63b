"""The forecast of the next hour: chance does not raise it, and what is more than chance does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptwin.live.metering.router_counters import Counted
from adaptwin.live.watching.forecast import PRIOR_SECONDS, forecast_rates
from adaptwin.live.watching.recorded_traffic import RecordedTraffic
from adaptwin.workload.rates_over_time import DAY

HOUR = 3600.0
NOW = 10 * DAY


def recorded(counts, seconds=600.0, end=NOW):
    """Return windows, one after the other up to the end, from requests by adapter and window."""
    names = list(counts)
    windows = len(counts[names[0]])
    return RecordedTraffic.of_windows(
        [
            (end - (windows - 1 - w) * seconds, seconds, {n: Counted(counts[n][w], 0.0, 0.0) for n in names})
            for w in range(windows)
        ]
    )


def forecast(traffic, planned, **options):
    return forecast_rates(traffic, planned, now=NOW, look_back=HOUR, **options)


def test_traffic_without_change_is_forecast_as_it_is():
    found = forecast(recorded({"a": [600.0] * 6, "b": [60.0] * 6}), {"a": 1.0, "b": 0.1})
    assert found.rates == pytest.approx({"a": 1.0, "b": 0.1})
    assert found.method == "the recent maximum of 60 minutes"


def test_chance_hardly_raises_the_forecast_of_hundreds_of_adapters():
    random = np.random.default_rng(5)
    true = {f"a{i}": 0.02 for i in range(300)}
    counts = {name: random.poisson(rate * 600.0, 6).astype(float) for name, rate in true.items()}
    total = sum(forecast(recorded(counts), true).rates.values())
    largest = sum(max(each) / 600.0 for each in counts.values())
    assert largest > 1.35 * sum(true.values())
    assert total < 1.15 * sum(true.values())


@pytest.mark.parametrize(("rate", "seconds"), [(0.02, 300.0), (0.003, 300.0), (0.02, 60.0)])
def test_chance_hardly_raises_the_forecast_with_few_requests_per_window(rate, seconds):
    random = np.random.default_rng(6)
    counts = {f"a{i}": random.poisson(rate * seconds, int(HOUR / seconds)).astype(float) for i in range(300)}
    found = forecast(recorded(counts, seconds), dict.fromkeys(counts, rate)).rates
    assert sum(found.values()) < 1.15 * 300 * rate


def test_a_surge_that_is_no_chance_counts_almost_whole():
    found = forecast(recorded({"a": [600.0, 600.0, 600.0, 600.0, 600.0, 1800.0], "b": [60.0] * 6}), {"a": 1, "b": 0.1})
    assert 2.8 < found.rates["a"] <= 3.0


def test_a_rise_of_all_together_raises_adapters_of_which_alone_it_would_be_chance():
    counts = {f"a{i}": [4.0 + 0.8 * w for w in range(6)] for i in range(200)}
    rates = forecast(recorded(counts), dict.fromkeys(counts, 0.01)).rates
    assert rates["a0"] == pytest.approx(8.0 / 600.0, rel=0.03)


def test_a_silent_adapter_keeps_a_share_of_what_was_planned():
    found = forecast(recorded({"a": [600.0] * 6, "b": [0.0] * 6}), {"a": 1.0, "b": 1.0})
    weight = PRIOR_SECONDS / (HOUR + PRIOR_SECONDS)
    assert found.rates["b"] == pytest.approx(weight * 0.5)


def test_only_the_time_to_look_back_to_counts():
    old = recorded({"a": [60_000.0] * 6}, end=NOW - HOUR)
    new = recorded({"a": [600.0] * 6})
    both = RecordedTraffic(
        ("a",), *(np.concatenate([getattr(old, n), getattr(new, n)], axis=-1) for n in RecordedTraffic._fields[1:])
    )
    assert forecast(both, {"a": 1.0}).rates["a"] == pytest.approx(1.0)
    assert forecast(old, {"a": 1.0}) is None


def test_the_hour_ahead_of_yesterday_counts_with_todays_growth():
    yesterday = recorded({"a": [600.0] * 6 + [1800.0] * 6}, end=NOW - DAY + HOUR)
    today = recorded({"a": [1200.0] * 6})
    both = RecordedTraffic(
        ("a",),
        *(np.concatenate([getattr(yesterday, n), getattr(today, n)], axis=-1) for n in RecordedTraffic._fields[1:]),
    )
    found = forecast(both, {"a": 1.0})
    assert found.rates["a"] == pytest.approx(2.0 * 3.0, rel=0.01)
    assert found.method == "the recent maximum of 60 minutes, and the same hour of yesterday times 2.00"
    assert forecast(both, {"a": 1.0}, method="recent-maximum").rates["a"] == pytest.approx(2.0)


@given(st.lists(st.lists(st.floats(0, 1e6), min_size=4, max_size=4), min_size=1, max_size=5), st.data())
def test_forecasts_lie_between_the_mean_with_the_prior_and_the_largest_of_all_together(rows, data):
    planned = {f"a{i}": data.draw(st.floats(0, 100)) for i in range(len(rows))}
    counts = dict(zip(planned, rows, strict=True))
    found = forecast(recorded(counts), planned)
    assert all(np.isfinite(rate) and rate >= 0 for rate in found.rates.values())
    for name, row in counts.items():
        known = sum(row) / (len(row) * 600.0)
        assert found.rates[name] >= known * 2400.0 / (2400.0 + PRIOR_SECONDS) * (1 - 1e-9)
