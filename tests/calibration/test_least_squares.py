"""nonnegative: known coefficients are recovered, none is negative, and outliers have little influence."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin.calibration.least_squares import nonnegative

same_every_time = settings(max_examples=100, deadline=None, derandomize=True, database=None)


@same_every_time
@given(seed=st.integers(0, 10_000), coefficients=st.lists(st.just(0.0) | st.floats(1e-3, 1e3), min_size=1, max_size=6))
def test_the_coefficients_that_made_the_rows_are_recovered(seed, coefficients):
    columns = np.random.default_rng(seed).uniform(0.1, 1.0, (40, len(coefficients)))
    target = columns @ coefficients + (0.0 if any(coefficients) else 1e-12)
    assert nonnegative(columns, target) == pytest.approx(coefficients, rel=1e-6, abs=1e-6 * max(coefficients) + 1e-9)


def test_columns_may_differ_by_many_orders_of_magnitude():
    rng = np.random.default_rng(1)
    columns = rng.uniform(0.1, 1.0, (40, 3)) * [1.0, 1e6, 1e-6]
    assert nonnegative(columns, columns @ [2.0, 3e-6, 5e6]) == pytest.approx([2.0, 3e-6, 5e6])


def test_a_coefficient_that_would_be_negative_is_zero():
    x = np.arange(1.0, 11.0)
    falling = nonnegative(np.stack([np.ones(10), x], axis=1), 1.01 - 0.001 * x)
    assert falling[1] == 0.0
    assert falling[0] == pytest.approx(1.0045, rel=1e-3)  # the mean, as there are no outliers


def test_a_column_of_zeros_gets_nothing():
    columns = np.stack([np.ones(5), np.zeros(5)], axis=1)
    solution = nonnegative(columns, np.full(5, 3.0))
    assert solution[0] == pytest.approx(3.0)
    assert np.isfinite(solution).all()


def test_one_outlier_among_many_rows_has_little_influence():
    columns = np.stack([np.ones(40), np.linspace(1, 10, 40)], axis=1)
    target = columns @ [2.0, 3.0]
    target[17] *= 5.0
    assert nonnegative(columns, target) == pytest.approx([2.0, 3.0], rel=0.02)


def test_a_quarter_of_the_rows_may_be_a_third_too_long():
    columns = np.stack([np.ones(40), np.linspace(1, 10, 40)], axis=1)
    true = columns @ [2.0, 3.0]
    target = np.where(np.arange(40) % 4 == 0, 1.33 * true, true)
    assert columns @ nonnegative(columns, target) == pytest.approx(true, rel=0.035)
    plain, *_ = np.linalg.lstsq(columns / target[:, None], np.ones(40), rcond=None)
    assert abs(columns @ plain / true - 1).min() > 0.04  # the result of plain least squares


def test_errors_are_relative():
    """For 1 and 100, the constant with the least relative errors is near 1."""
    ones = np.ones((2, 1))
    # sum of (c - 1)^2 and (c / 100 - 1)^2 is least at (1 + 0.01) / (1 + 0.0001); Huber's loss pulls up a little
    assert 1.0 <= nonnegative(ones, np.array([1.0, 100.0]))[0] < 1.02


def test_a_row_of_weight_zero_does_not_count():
    ones = np.ones((3, 1))
    target, weight = np.array([2.0, 2.0, 50.0]), np.array([1.0, 1.0, 0.0])
    assert nonnegative(ones, target, weight) == pytest.approx([2.0])
