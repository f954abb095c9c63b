"""Mean lengths of a workload, against its own requests."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptwin import Adapter, Lengths, Workload
from adaptwin.workload.demand.mean_lengths import mean_lengths, shares_longer, tokens_per_adapter

LENGTHS = st.one_of(
    st.builds(Lengths.fixed, st.integers(1, 5000), st.integers(1, 5000)),
    st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 5000)), min_size=1, max_size=9).map(Lengths.empirical),
    st.builds(
        lambda i, o, cv: Lengths.lognormal(input_mean=i, input_cv=cv, output_mean=o, output_cv=cv),
        st.floats(50, 3000),
        st.floats(50, 3000),
        st.floats(0.0, 2.0),
    ),
    st.just(Lengths.named("sharegpt")),
)


def test_tokens_per_adapter_take_the_adapters_own_lengths_and_the_mean_rate():
    """Timestamps count in the window; 4 of b's 5 lie in it."""
    own = Adapter("a", 8, 2.0, lengths=Lengths.fixed(10, 5))
    replayed = Adapter("b", 8, 2.0, arrivals=(1.0, 2.0, 3.0, 4.0, 20.0))
    workload = Workload([own, replayed], lengths=Lengths.fixed(100, 50), duration=10.0)
    assert tokens_per_adapter(workload) == pytest.approx({"a": 30.0, "b": 60.0})


def test_adapters_count_in_proportion_to_their_requests():
    short, long = Lengths.fixed(100, 10), Lengths.fixed(500, 50)
    workload = Workload([Adapter("short", 8, 3.0, lengths=short), Adapter("long", 8, 1.0, lengths=long)])
    assert mean_lengths(workload) == (200.0, 20.0)
    assert shares_longer(workload, prompt=100, answer=49) == (0.625, 0.625)
    assert shares_longer(workload, prompt=99, answer=50) == (1.0, 0.0)


def test_without_traffic_the_lengths_are_those_of_the_workload():
    silent = Workload([Adapter("a", 8, 0.0, lengths=Lengths.fixed(1, 1))], lengths=Lengths.fixed(7, 5))
    assert mean_lengths(silent) == mean_lengths(Workload([], lengths=Lengths.fixed(7, 5))) == (7.0, 5.0)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(1, 5000))
def test_means_and_shares_are_those_of_the_table_of_lengths(lengths, bound):
    workload, table = Workload([Adapter("a", 8, 1.0)], lengths=lengths), lengths.table()
    means = mean_lengths(workload)
    assert means == pytest.approx((table.input.mean(), table.output.mean()), rel=6e-3)  # rounding of the table
    # A table of 1,024 quantiles is rounded to whole tokens, and a little wider than the distribution itself.
    longer = shares_longer(workload, prompt=bound, answer=bound)
    rough = [np.sum(table.input * (table.input > near)) / np.sum(table.input) for near in (bound - 1, bound + 1)]
    assert min(rough) - 0.03 <= longer.prompts <= max(rough) + 0.03
