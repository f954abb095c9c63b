"""Quantiles of groups: equal to those of the sorted values."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.effort import examples

from adaptwin.twin.quantiles import grouped_quantiles

SHARES = (0.01, 0.5, 0.99, 1.0)


def by_sorting(values, share):
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else math.nan


@given(st.lists(st.lists(st.integers(0, 2**40), max_size=300), min_size=1, max_size=4), st.randoms())
@settings(max_examples=examples(100), deadline=None, derandomize=True, database=None)
def test_quantiles_are_those_of_the_sorted_group(groups, dice):
    pairs = [(value, g) for g, group in enumerate(groups) for value in group]
    dice.shuffle(pairs)
    values, group = (np.array([pair[i] for pair in pairs], kind) for i, kind in ((0, np.int64), (1, np.int32)))
    found = grouped_quantiles(values, group, np.array([len(g) for g in groups]), SHARES)
    expected = [[by_sorting(g, share) for g in groups] for share in SHARES]
    assert np.array_equal(found, expected, equal_nan=True)


@pytest.mark.parametrize("values", [[7] * 1000, [0] * 500 + [2**50] * 500, list(range(10**9, 10**9 + 1000))])
def test_quantiles_are_exact_even_for_values_in_few_bins(values):
    found = grouped_quantiles(np.array(values), np.zeros(1000, np.int32), np.array([1000]), SHARES)
    assert found[:, 0].tolist() == [by_sorting(values, share) for share in SHARES]
