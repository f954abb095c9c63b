"""Trees of formulas: evaluated as they read, and read as they are evaluated."""

import numpy as np
import pytest

from adaptwin import SpecError
from adaptwin.surrogate.model_tree import Leaf, ModelTree, evaluate, plant, rules_of

NAMES = ("x", "y")


def leaf(constant, rows=1, low=-100.0, high=100.0, **weights):
    return Leaf(constant=constant, weights=weights, low=low, high=high, rows=rows)


#            x <= 1 ?
#      y <= 0 ?       leaf 10 + y, at most 11
#   leaf 1   leaf 2x
TREE = ModelTree(
    features=("x", "y", "", "", ""),
    thresholds=(1.0, 0.0, 0.0, 0.0, 0.0),
    right=(4, 3, 0, 0, 0),
    leaves=(leaf(1.0, rows=5), leaf(0.0, rows=7, x=2.0), leaf(10.0, rows=6, high=11.0, y=1.0)),
)
STUMP = ModelTree(features=("",), thresholds=(0.0,), right=(0,), leaves=(leaf(-3.0),))


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [(0.0, -1.0, 1.0), (1.0, 0.0, 1.0), (0.5, 2.0, 1.0), (1.0, 2.0, 2.0), (2.0, 0.5, 10.5), (2.0, 9.0, 11.0)],
)
def test_a_tree_by_hand(x, y, expected):
    assert evaluate(plant([TREE], NAMES), np.array([[x, y]]))[0, 0] == expected


def test_several_trees_answer_side_by_side():
    answers = evaluate(plant([STUMP, TREE, STUMP], NAMES), np.array([[0.0, -1.0], [2.0, 0.0]]))
    assert answers.tolist() == [[-3.0, 1.0, -3.0], [-3.0, 10.0, -3.0]]


def test_features_are_found_by_name():
    assert evaluate(plant([TREE], ("y", "x")), np.array([[-1.0, 0.0]]))[0, 0] == 1.0


def test_rules_name_the_questions_and_come_by_size():
    rules = rules_of(TREE)
    assert [rule.leaf.rows for rule in rules] == [7, 6, 5]
    assert rules[0].conditions == [("x", "<=", 1.0), ("y", ">", 0.0)]
    assert rules[1].conditions == [("x", ">", 1.0)]


def test_a_tree_that_leads_nowhere_is_refused():
    with pytest.raises(SpecError, match=r"right\[0\]: 9 is not the node after the left subtree"):
        ModelTree(features=("x", "", ""), thresholds=(0, 0, 0), right=(9, 0, 0), leaves=(leaf(0), leaf(0)))
    with pytest.raises(SpecError, match="do not match in length"):
        ModelTree(features=("",), thresholds=(0.0,), right=(0,), leaves=())
    with pytest.raises(SpecError, match="a tree needs at least one leaf"):
        ModelTree(features=(), thresholds=(), right=(), leaves=())


@pytest.mark.parametrize(
    ("features", "right", "message"),
    [
        (("x", "y", "", "", ""), (3, 3, 0, 0, 0), r"right\[0\]: 3 is not"),  # a leaf of two parents
        (("x", "y", "", "", ""), (4, 2, 0, 0, 0), r"right\[1\]: 2 is not"),  # yes and no lead to the same node
        (("x", "", "x", "", ""), (2, 0, 0, 0, 0), r"right\[2\]: 0 is not"),  # a circle
        (("x", "", "", "", "x"), (2, 0, 0, 0, 5), r"right\[4\]: 5 is not"),  # a question without a node behind it
        (("x", "", "", ""), (2, 0, 0, 0), "the tree ends at node 3, but 4 are given"),
    ],
)
def test_nodes_that_are_not_a_tree_are_refused(features, right, message):
    leaves = (leaf(0.0),) * features.count("")
    with pytest.raises(SpecError, match=message):
        ModelTree(features=features, thresholds=(0.0,) * len(features), right=right, leaves=leaves)


def test_the_rules_of_a_chain_of_2000_questions_are_listed():
    questions = 2000
    chain = ModelTree(
        features=("x", "") * questions + ("",),
        thresholds=(0.0,) * (2 * questions + 1),
        right=(*(number for place in range(questions) for number in (2 * place + 2, 0)), 0),
        leaves=tuple(leaf(0.0, rows=place) for place in range(questions + 1)),
    )
    rules = rules_of(chain)
    assert [rule.leaf.rows for rule in rules] == list(range(questions, -1, -1))
    assert len(rules[0].conditions) == questions


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e300, "1.0", True, None])
def test_a_formula_of_other_than_ordinary_numbers_is_refused(value):
    for field in ("constant", "low", "high"):
        with pytest.raises(SpecError, match=rf"Leaf\.{field}"):
            leaf(**{"constant": 0.0, "low": -1.0, "high": 1.0, field: value})
    with pytest.raises(SpecError, match=r"Leaf\.weights\.x"):
        leaf(0.0, x=value)


def test_limits_must_not_cross():
    with pytest.raises(SpecError, match="low 2 is above high 1"):
        leaf(0.0, low=2.0, high=1.0)
