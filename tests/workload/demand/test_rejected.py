"""Rejected tokens, on paper."""

import pytest

from adaptwin import Lengths
from adaptwin.workload.demand.rejected import rejected_share


def test_the_share_is_of_the_tokens_not_of_the_requests():
    lengths = Lengths.empirical([(90, 10), (290, 10)])  # 100 and 300 tokens
    assert rejected_share(lengths, 299) == pytest.approx(0.75)
    assert rejected_share(lengths, 300) == 0.0
    assert rejected_share(lengths, 99) == 1.0


def test_of_independent_lengths_all_pairs_count():
    lengths = Lengths.lognormal(input_mean=1000, input_cv=0.0, output_mean=100, output_cv=1.0)
    assert rejected_share(lengths, 1000) == 1.0
    assert 0.3 < rejected_share(lengths, 1100) < 0.9
    assert rejected_share(lengths, 100_000) == 0.0
