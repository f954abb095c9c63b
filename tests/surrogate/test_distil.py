"""Distillation: a small tree reproduces what it is taught."""

import numpy as np

from adaptwin.surrogate.distil import distil
from adaptwin.surrogate.model_tree import LEAF_TERMS, evaluate, plant

NAMES = tuple(f"f{i}" for i in range(12))
FEATURES = np.random.default_rng(0).uniform(-1, 1, (6000, 12))


def followed(taught, leaves=32):
    tree = distil(FEATURES, taught, NAMES, leaves=leaves)
    return tree, evaluate(plant([tree], NAMES), FEATURES)[:, 0]


def test_a_formula_for_each_side_of_a_step_is_found():
    taught = np.where(FEATURES[:, 3] > 0.2, 5.0 + 2.0 * FEATURES[:, 0], -1.0 - FEATURES[:, 7])
    tree, said = followed(taught, leaves=2)
    assert tree.features[0] == "f3"
    assert abs(tree.thresholds[0] - 0.2) < 0.01
    assert np.quantile(np.abs(said - taught), 0.99) < 0.05


def test_a_smooth_function_is_followed_closer_with_more_leaves():
    taught = np.sin(3 * FEATURES[:, 0]) * FEATURES[:, 1]
    few, many = (np.abs(followed(taught, leaves)[1] - taught).mean() for leaves in (4, 64))
    assert many < few / 2
    assert many < 0.1


def test_formulas_are_short_and_answers_stay_within_those_taught():
    taught = FEATURES.sum(axis=1)
    tree, said = followed(taught)
    assert max(len(leaf.weights) for leaf in tree.leaves) == LEAF_TERMS
    assert taught.min() <= said.min() <= said.max() <= taught.max()
    assert sum(leaf.rows for leaf in tree.leaves) == len(FEATURES)


def test_few_rows_make_few_leaves():
    tree = distil(FEATURES[:50], FEATURES[:50, 0], NAMES)
    assert min(leaf.rows for leaf in tree.leaves) >= 5
