"""Scores, worked out by hand."""

import numpy as np
import pytest

from adaptwin.surrogate.score import calibration_error, error, f1, mean_error
from adaptwin.surrogate.teacher import corrected_odds

MIXES = np.array([0, 0, 1, 1])


def test_errors_are_in_per_cent_of_the_actual_value():
    assert error(np.array([1.1, 0.5]), np.array([1.0, 1.0])) == pytest.approx([10.0, 50.0])
    assert np.isnan(error(np.array([1.0, 1.0]), np.array([0.0, np.nan]))).all()


def test_the_mean_error_leaves_out_unknown_values():
    score = mean_error(np.array([1.1, 9.0, 0.7, 1.0]), np.array([1.0, np.nan, 1.0, 1.0]), MIXES)
    assert score.value == pytest.approx((10 + 30 + 0) / 3)


def test_f1_worked_out_by_hand():
    probability = np.array([0.9, 0.6, 0.2, 0.1])  # one hit, one false alarm, one missed
    assert f1(probability, np.array([True, False, True, False]), MIXES).value == pytest.approx(2 / 4)


def test_intervals_resample_whole_mixes():
    """One of two mixes is wrong by 10 %, so a resample has a mean error of 0, 5 or 10 %."""
    score = mean_error(np.array([1.1, 1.1, 1.0, 1.0]), np.ones(4), MIXES)
    assert (score.value, score.low, score.high) == pytest.approx((5.0, 0.0, 10.0))


def test_calibration_compares_probabilities_with_frequencies():
    probability = np.full(100, 0.25)
    assert calibration_error(probability, np.arange(100) < 25) == pytest.approx(0.0)
    assert calibration_error(probability, np.arange(100) < 75) == pytest.approx(0.5)


def test_odds_are_corrected_to_the_observed_frequencies():
    """Log-odds that are twice too large are halved."""
    generator = np.random.default_rng(0)
    odds = generator.normal(0, 2, 20_000)
    happened = (generator.random(20_000) < 1 / (1 + np.exp(-odds))).astype(float)
    scale, shift = corrected_odds(2 * odds, happened)
    assert scale == pytest.approx(0.5, abs=0.03)
    assert shift == pytest.approx(0.0, abs=0.05)
