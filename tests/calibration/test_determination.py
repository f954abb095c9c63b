"""determined: what the rows determine is fitted to them, and everything else keeps its start value and is named."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin.calibration.determination import determined

same_every_time = settings(max_examples=100, deadline=None, derandomize=True, database=None)
ONES = np.ones(6)
X = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])


def test_constants_that_the_rows_determine_do_not_depend_on_the_start():
    columns = np.stack([ONES, X], axis=1)
    for start in ([1.0, 1.0], [9.0, 0.1], [3.0, 5.0]):
        result = determined(columns, columns @ [3.0, 0.5], start=np.array(start), noise=0.01)
        assert result.constants == pytest.approx([3.0, 0.5])
        assert not (result.kept | result.tied).any()


def test_a_constant_on_which_no_row_depends_keeps_its_start_value():
    columns = np.stack([ONES, 0 * X], axis=1)
    result = determined(columns, 7 * ONES, start=np.array([2.0, 0.123]), noise=0.01)
    assert result.constants == pytest.approx([7.0, 0.123])
    assert result.constants[1] == 0.123
    assert (result.kept.tolist(), result.tied.tolist()) == ([False, True], [False, False])


def test_no_rows_determine_nothing():
    result = determined(np.empty((0, 2)), np.empty(0), start=np.array([2.0, 0.0]), noise=0.01)
    assert result.constants.tolist() == [2.0, 0.0]
    assert result.kept.all()


def test_a_constant_lost_in_the_noise_keeps_its_start_value():
    """The second term is 0.1 % of the rows and their noise 1 %: the rows allow 0 and ten times as much."""
    columns = np.stack([ONES, X / 32], axis=1)
    result = determined(columns, columns @ [1.0, 0.001], start=np.array([2.0, 0.002]), noise=0.01)
    assert result.constants == pytest.approx([1.0, 0.002], rel=0.005)
    assert result.constants[1] == 0.002
    assert result.kept.tolist() == [False, True]


def test_of_collinear_constants_the_sum_is_fitted_and_both_are_named():
    """A sum of 2 is measured where the start has 1 + 3: both give way, the larger one more, and neither to 0."""
    columns = np.stack([ONES, ONES], axis=1)
    result = determined(columns, 2 * ONES, start=np.array([1.0, 3.0]), noise=0.01)
    assert result.constants.sum() == pytest.approx(2.0, rel=0.01)
    assert 1.0 > result.constants[0] >= 0.1
    assert 3.0 > result.constants[1] >= 0.3
    assert (3.0 - result.constants[1]) > (1.0 - result.constants[0])
    assert result.tied.all()


def test_a_constant_with_a_narrow_scale_gives_way_last():
    columns = np.stack([ONES, ONES], axis=1)
    result = determined(columns, 5 * ONES, start=np.array([1.0, 3.0]), scale=np.array([1.0, 0.01]), noise=0.01)
    assert result.constants == pytest.approx([2.0, 3.0], rel=0.01)
    assert result.kept.tolist() == [False, True]


def test_rows_that_contradict_narrow_scales_widen_them():
    """The start is off by a factor of 100 at a scale of 5 %, and the rows tell both constants apart."""
    columns = np.stack([ONES, X], axis=1)
    start = np.array([1.0, 0.01])
    result = determined(columns, columns @ [1.0, 1.0], start=start, scale=0.05 * start, noise=0.003)
    assert result.constants == pytest.approx([1.0, 1.0], rel=0.02)


def test_a_constant_that_is_measured_as_zero_is_zero():
    columns = np.stack([ONES, X], axis=1)
    result = determined(columns, 5 * ONES, start=np.array([1.0, 1.0]), noise=0.001)
    assert result.constants == pytest.approx([5.0, 0.0], abs=1e-9)


def test_constants_are_written_rounded_but_for_those_that_were_kept():
    columns = np.stack([ONES, 0 * X], axis=1)
    result = determined(columns, ONES / 3, start=np.array([1.0, 1 / 7]), noise=0.01)
    assert result.written(3) == [0.333, 1 / 7]


@same_every_time
@given(
    seed=st.integers(0, 100_000),
    rows=st.integers(1, 8),
    true=st.lists(st.floats(0.1, 10.0), min_size=2, max_size=5),
    off=st.lists(st.floats(1 / 3, 3.0), min_size=5, max_size=5),
)
def test_a_constant_is_near_the_truth_or_named(seed, rows, true, off):
    """The columns are zero, constant or collinear at random, and the start is off by a factor of up to 3."""
    rng = np.random.default_rng(seed)
    columns = rng.uniform(0.1, 1.0, (rows, len(true))) * rng.integers(0, 2, (rows, len(true)))
    columns[:, rng.integers(len(true))] = columns[:, 0] * rng.uniform(0.5, 2.0)
    columns[:, 0] += columns.sum(axis=1) == 0
    truth, start = np.array(true), np.array(true) * off[: len(true)]
    result = determined(columns, columns @ truth, start=start, noise=0.01)
    known = ~(result.kept | result.tied)
    assert result.constants[known] == pytest.approx(truth[known], rel=0.2)
    assert result.constants[result.kept].tolist() == start[result.kept].tolist()
    assert (result.constants > 0).all()
