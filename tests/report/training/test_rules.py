import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.report.reading import assert_fits, rendered, words
from tests.report.training.findings import (
    leaf,
    make_surrogate,
    split,
)

from adaptwin.report.training.rules import merged_conditions, rules_text
from adaptwin.surrogate.model_tree import ModelTree
from adaptwin.surrogate.outputs import NAMES


def test_a_rule_is_a_condition_in_natural_units_and_a_prediction_in_words() -> None:
    text = words(rules_text(make_surrogate(), "starvation"))
    # 0.93 is exp of the threshold; odds of 49 are 98 %; odds grow with the root of the adapters.
    assert "if utilisation > 0.93: the probability of starvation is 98.0 % (50 % to 99.966 %); 100 rows" in text
    assert "twice the adapters: x 1.41" in text
    assert "time per token" not in text  # its term does next to nothing
    text = words(rules_text(make_surrogate(), "itl_mean"))
    assert "if burstiness of arrivals <= 2.00: mean ITL is 1.07 x the steady state's (0.82 to 1.35); 300 rows" in text
    text = words(rules_text(make_surrogate(), "worst_share"))
    assert "if no asynchronous scheduling: the worst-served adapter gets 97.0 % of its tokens (50 % to 100 %)" in text
    assert "if asynchronous scheduling: the worst-served adapter gets 60 %" in text
    assert "10 points more chance that no slot is free: -3.0 points" in text


def test_the_prediction_is_for_a_place_where_the_rule_holds() -> None:
    # The training data's middle has 64 adapters, and the rule holds up to 3: 1 + 3 of them double the odds twice.
    few = leaf(0.0, 10, {"adapters": 1.0}, low=-8.0, high=8.0)
    tree = split("adapters", math.log(4.0), few, leaf(0.0, 5, low=-8.0, high=8.0))
    text = words(rules_text(make_surrogate(overload=tree), "overload"))
    assert "if adapters <= 3: the probability of overload is 80 %" in text


def test_a_prediction_stays_within_its_limits() -> None:
    wild = leaf(100.0, 10, low=-1.0, high=math.log(2.0))
    tree = split("pace", math.log(0.012), wild, wild)
    text = words(rules_text(make_surrogate(served=tree), "served"))
    assert "if time per token <= 12 ms: throughput is 2.00 x the steady state's (0.37 to 2.00)" in text


def test_rules_come_in_the_order_of_their_rows_and_no_more_than_wanted() -> None:
    tree = make_surrogate().trees["itl_mean"]
    both, one = words(rules_text(make_surrogate(), "itl_mean")), words(rules_text(make_surrogate(), "itl_mean", most=1))
    assert [item.rows for item in tree.leaves] == [300, 700]
    assert both.index("> 2.00") < both.index("<= 2.00")
    assert "2 rules from 1,000 rows; the rules shown cover 70 % of the rows." in one
    assert "<= 2.00" not in one


def test_every_output_has_rules_that_fit_a_terminal() -> None:
    for name in NAMES:
        text = rendered(rules_text(make_surrogate(), name))
        assert_fits(text)
        assert "2 rules" in text


def test_a_tree_of_one_leaf_always_says_the_same() -> None:
    tree = ModelTree(features=("",), thresholds=(0.0,), right=(0,), leaves=(leaf(0.0, 7, low=-1.0, high=1.0),))
    assert "always: mean ITL is 1.00 x" in words(rules_text(make_surrogate(itl_mean=tree), "itl_mean"))


def chain(*questions: tuple[str, float]) -> ModelTree:
    """Each question leads on when it is answered with no; the last leaf has most rows."""
    names = [name for feature, _ in questions for name in (feature, "")] + [""]
    thresholds = [value for _, limit in questions for value in (limit, 0.0)] + [0.0]
    right = [value for number in range(len(questions)) for value in (2 * number + 2, 0)] + [0]
    leaves = tuple(leaf(0.0, number, low=-1.0, high=1.0) for number in range(len(questions) + 1))
    return ModelTree(features=tuple(names), thresholds=tuple(thresholds), right=tuple(right), leaves=leaves)


@pytest.mark.parametrize(
    ("feature", "low", "high", "text"),
    [
        ("utilisation", math.log(0.3), math.log(0.93), "utilisation 0.3 to 0.93"),
        ("adapters", math.log(9.4), math.log(20.5), "adapters 8 to 19"),  # of one plus the adapters
        ("slot_wait", math.log(2.4), math.log(91.0), "wait for a slot 1.4 s to 1.5 min"),
        ("slot_pressure", math.log(0.5), math.log(2.0), "adapters wanting a slot 0.5 to 2.00 per slot"),
        ("slot_pressure", -12.0, math.log(2.0), "adapters wanting a slot 0 to 2.00 per slot"),
        ("slot_reached", 0.45, 0.999357, "requests that get a slot 45 % to 99.936 %"),
        ("utilisation", 0.6931, 0.6932, "utilisation about 2.00"),
    ],
)
def test_questions_about_one_feature_become_one_interval(feature: str, low: float, high: float, text: str) -> None:
    # The second leaf: not up to low, but up to high.
    rules = words(rules_text(make_surrogate(itl_mean=chain((feature, low), (feature, high))), "itl_mean"))
    assert f"if {text}: mean ITL" in rules


CONDITIONS = st.lists(
    st.tuples(st.sampled_from(["pace", "slots"]), st.sampled_from(["<=", ">"]), st.integers(-5, 5).map(float))
)


@given(CONDITIONS, st.integers(-6, 6), st.integers(-6, 6))
def test_merged_conditions_hold_where_all_of_them_do(conditions, pace, slots) -> None:
    values = {"pace": pace, "slots": slots}
    all_hold = all(values[name] <= limit if sign == "<=" else values[name] > limit for name, sign, limit in conditions)
    intervals = merged_conditions(conditions)
    assert all(low < values[name] <= high for name, (low, high) in intervals.items()) == all_hold
    assert list(intervals) == list(dict.fromkeys(name for name, _, _ in conditions))
