"""The linear program over configurations, against what is known of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptwin.placement.configurations.linear_program import fewest

shares = st.floats(0.05, 1.0)


def test_a_mix_that_holds_more_is_used():
    found = fewest([np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([0.6, 0.6])])
    assert found.servers == pytest.approx(1 / 0.6)
    assert found.copies == pytest.approx([0.0, 0.0, 1 / 0.6])


def test_nothing_is_printed(capfd):
    fewest([np.array([1.0])])
    assert capfd.readouterr() == ("", "")


@given(st.lists(st.tuples(shares, shares, shares), min_size=1, max_size=8))
def test_all_classes_are_covered_and_no_configuration_is_worth_more_than_a_server(mixes):
    configurations = [np.array(mix) for mix in mixes]
    found = fewest(configurations)
    assert np.all(found.copies @ np.array(configurations) >= 1.0 - 1e-6)
    assert found.servers == pytest.approx(found.copies.sum(), rel=1e-6)
    assert found.servers == pytest.approx(found.values.sum(), rel=1e-6)  # strong duality
    assert all(found.values @ mix <= 1.0 + 1e-6 for mix in configurations)
    assert np.count_nonzero(found.copies > 1e-9) <= 3
