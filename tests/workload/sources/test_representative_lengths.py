"""Representative lengths: a few pairs keep the means of all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin.workload.sources.representative_lengths import MAX_PAIRS, representative_pairs


def test_few_pairs_are_all_kept_in_ascending_order_of_total():
    pairs = representative_pairs(np.array([5, 1, 3]), np.array([1, 1, 9]))
    assert pairs.tolist() == [[1, 1], [5, 1], [3, 9]]


@given(seed=st.integers(0, 10_000), count=st.integers(MAX_PAIRS + 1, 4000), spread=st.floats(0.1, 1.5))
@settings(max_examples=30, deadline=None)
def test_a_selection_of_pairs_keeps_both_means(seed, count, spread):
    generator = np.random.default_rng(seed)
    tokens = np.maximum(1, np.exp(spread * generator.standard_normal((count, 2))) * [800, 150]).astype(np.int64)
    pairs = representative_pairs(tokens[:, 0], tokens[:, 1])
    assert pairs.shape == (MAX_PAIRS, 2)
    assert {*map(tuple, pairs)} <= {*map(tuple, tokens)}
    assert np.all(np.diff(pairs.sum(axis=1)) >= 0)
    assert pairs.mean(axis=0) == pytest.approx(tokens.mean(axis=0), rel=0.01)


def test_one_request_may_outweigh_all_others():
    inputs = np.ones(1000, dtype=np.int64)
    inputs[500] = 10**6
    assert representative_pairs(inputs, np.ones(1000, dtype=np.int64)).shape == (MAX_PAIRS, 2)
