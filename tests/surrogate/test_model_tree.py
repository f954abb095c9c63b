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
    with pytest.raises(SpecError, match=r"right\[0\]: 9 is not a later node"):
        ModelTree(features=("x", "", ""), thresholds=(0, 0, 0), right=(9, 0, 0), leaves=(leaf(0), leaf(0)))
    with pytest.raises(SpecError, match="do not match in length"):
        ModelTree(features=("",), thresholds=(0.0,), right=(0,), leaves=())
