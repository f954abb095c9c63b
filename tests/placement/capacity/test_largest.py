"""Bisection, compared with results worked out by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin.placement.capacity.largest import largest_count, largest_factor, largest_near, largest_within


@settings(derandomize=True, database=None, deadline=None)
@given(most=st.integers(0, 300), holding=st.integers(0, 400))
def test_the_largest_count_is_that_of_brute_force(most, holding):
    assert largest_count(most, lambda count: count <= holding) == min(most, holding)


def test_where_the_largest_count_holds_there_is_one_trial():
    asked = []
    assert largest_count(1000, lambda count: asked.append(count) or True) == 1000
    assert asked == [1000]


def test_a_bracket_holds_at_its_low_end_and_not_at_its_high_one():
    low, high = largest_within(0.0, 8.0, 0.01, lambda value: value <= 3.3)
    assert low <= 3.3 < high
    assert high - low <= 0.01


@settings(derandomize=True, database=None, deadline=None)
@given(start=st.integers(-10, 310), limit=st.integers(0, 320))
def test_galloping_brackets_the_limit_from_any_start(start, limit):
    low, high = largest_near(start, 0, 300, 2, lambda value: value <= limit)
    if limit >= 300:
        assert (low, high) == (300, 300)
    else:
        assert low <= limit < high <= low + 2


def test_galloping_from_near_the_limit_takes_few_trials():
    asked = []
    assert largest_near(40, 0, 300, 2, lambda value: asked.append(value) or value <= 43) == (42, 44)
    assert asked == [40, 42, 46, 44]


def test_what_holds_nowhere_is_bracketed_at_the_low_end():
    assert largest_near(0, 0, 300, 2, lambda _value: False) == (0, 0)


def test_factors_are_bisected_by_their_logarithm():
    asked = []
    low, high = largest_factor(1.0, 16.0, 1.1, lambda factor: asked.append(factor) or factor <= 5.0)
    assert asked[:3] == pytest.approx([4.0, 8.0, 32**0.5])
    assert low <= 5.0 < high
    assert high / low <= 1.1
