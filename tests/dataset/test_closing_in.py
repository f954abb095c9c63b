"""Closing in: the bracket around the boundary, and the next load to try."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptwin.dataset.closing_in import Bracket

RUNS = st.lists(st.tuples(st.floats(1e-4, 100), st.booleans()), max_size=12)


def after(runs) -> Bracket:
    bracket = Bracket()
    for utilisation, served in runs:
        bracket = bracket.with_run(utilisation, served=served)
    return bracket


def test_the_first_bracket_holds_nearly_all_servers():
    assert Bracket() == pytest.approx((0.01, 4.0))
    assert Bracket().at(0.0) == pytest.approx(0.01)
    assert Bracket().at(1.0) == pytest.approx(4.0)
    assert Bracket().at(0.5) == pytest.approx(0.8)  # half of the servers in a default design have their boundary below
    assert Bracket().at(0.15) == pytest.approx(0.3)


def test_a_load_that_is_served_lies_below_the_boundary_and_another_above():
    assert Bracket().with_run(0.5, served=True) == pytest.approx((0.5, 4.0))
    assert Bracket().with_run(0.5, served=False) == pytest.approx((0.01, 0.5))
    assert after([(0.3, True), (0.9, False), (0.6, True)]) == pytest.approx((0.6, 0.9))


def test_a_run_outside_of_the_bracket_changes_nothing():
    bracket = after([(0.3, True), (0.9, False)])
    assert bracket.with_run(0.2, served=True) == bracket.with_run(1.5, served=False) == bracket


def test_contradicting_runs_close_the_bracket():
    assert after([(0.3, True), (0.9, False), (2.0, True)]) == (0.9, 0.9)
    assert after([(0.3, True), (0.9, False), (0.1, False)]) == (0.3, 0.3)
    assert after([(0.5, True), (0.5, False)]).at(0.4) == pytest.approx(0.5)


@given(RUNS, st.floats(1e-4, 100), st.booleans())
def test_the_bracket_never_widens(runs, utilisation, served):
    before = after(runs)
    then = before.with_run(utilisation, served=served)
    assert before.low <= then.low <= then.high <= before.high


@given(RUNS, st.floats(0, 1), st.floats(0, 1))
def test_the_next_load_lies_in_the_bracket_and_rises_with_its_share(runs, share, other):
    bracket = after(runs)
    low, high = sorted((share, other))
    assert bracket.low * 0.999 <= bracket.at(low) <= bracket.at(high) * 1.001 <= bracket.high * 1.002


@given(st.floats(0.02, 3.5), st.lists(st.floats(0.3, 0.7), min_size=20, max_size=20))
def test_it_closes_in_on_a_sharp_boundary(boundary, shares):
    bracket = Bracket()
    for share in shares:
        load = bracket.at(share)
        bracket = bracket.with_run(load, served=load < boundary)
    assert bracket.low <= boundary <= bracket.high
    assert bracket.high < 1.1 * bracket.low
