"""Recordings: windows, the busiest of them, and times that cannot be right."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin.workload.sources.recording import Recording, suspicious_gap


def recording(time, tokens=None, duration=None):
    time = np.sort(np.asarray(time, np.float64))
    tokens = np.ones(len(time), np.int64) if tokens is None else np.asarray(tokens)
    return Recording(time, tokens, tokens, math.floor(time[-1]) + 1.0 if duration is None else duration)


@given(
    times=st.lists(st.integers(0, 300), min_size=1, max_size=40),
    seed=st.integers(0, 100),
    seconds=st.integers(1, 400),
)
@settings(max_examples=200, deadline=None)
def test_no_window_has_more_tokens_than_the_busiest(times, seed, seconds):
    whole = recording(times, np.random.default_rng(seed).integers(1, 100, len(times)))
    start = whole.busiest_start(float(seconds))
    tokens = [whole.window(at, seconds).input.sum() for at in np.arange(0.0, max(1.0, whole.duration - seconds), 0.5)]
    assert whole.window(start, seconds).input.sum() == max(*tokens, whole.window(start, seconds).input.sum())
    assert 0 <= start <= max(0.0, whole.duration - seconds)


def test_a_window_holds_its_beginning_and_not_its_end():
    window = recording([0, 1, 2, 3, 4]).window(1.0, 2.0)
    assert window.time.tolist() == [0.0, 1.0]
    assert window.duration == 2.0
    assert window.rate == 1.0


def test_the_peak_rate_is_that_of_the_busiest_minute_wherever_it_begins():
    assert recording([*range(0, 600, 60), *range(90, 150)]).peak_rate() == 61 / 60


def test_in_less_than_a_minute_the_peak_rate_is_the_mean():
    assert recording([0, 1, 2, 3]).peak_rate() == 1.0


def test_dispersion_is_variance_over_mean_of_the_counts():
    # Counts per minute: 3, 0, 1, of mean 4/3 and variance (25/9 + 16/9 + 1/9) / 2 = 7/3.
    assert recording([0, 1, 2, 130], duration=190.0).dispersion(60.0) == pytest.approx(7 / 4)


def test_one_minute_has_no_dispersion():
    assert math.isnan(recording([0, 1, 2]).dispersion(60.0))


def test_independent_requests_have_the_dispersion_1():
    generator = np.random.default_rng(5)
    dispersions = [recording(generator.random(5000) * 1000).dispersion(1.0) for _ in range(20)]
    assert np.mean(dispersions) == pytest.approx(1.0, abs=0.04)


def test_multiplied_requests_keep_their_lengths():
    double = recording([0, 4, 6], [1, 2, 3]).multiplied(2.0)
    assert double.time.tolist() == [0.0, 2.0, 4.0, 5.0, 6.0, 6.0]
    assert double.input.tolist() == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("times", "position"),
    [
        ([0.0, 1e9, 1e9 + 1, 1e9 + 2], 0),  # a time of 1970 among others
        ([0.0, 1.0, 2.0, 1e9], 3),
        ([0.0, 1.0, 1e9, 1e9 + 1, 1e9 + 2], 1),  # the smaller side, next to the gap
        ([*np.arange(600.0), 2e6], 600),  # 23 days after ten minutes
        ([0.0, 31 * 86400.0], 0),
    ],
)
def test_times_far_from_all_others_are_found(times, position):
    assert suspicious_gap(np.array(times))[0] == position


@pytest.mark.parametrize("times", [[0.0], [0.0, 3600.0], [*np.arange(600.0), 86400.0], [0.0, 0.0, 60000.0]])
def test_nights_are_no_wrong_times(times):
    assert suspicious_gap(np.array(times)) is None
