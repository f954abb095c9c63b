"""ModelTree: a small decision tree with a short linear formula in each leaf, readable and fast to evaluate."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from adaptwin.jit import compiled
from adaptwin.spec import Spec

LEAF_TERMS = 8  # features in a leaf's formula


class Leaf(Spec):
    """A formula: ``constant + sum of weight x feature``, clipped to `low` and `high`."""

    constant: float
    weights: dict[str, float] = Field(max_length=LEAF_TERMS, description="one weight per feature, by its name")
    low: float
    high: float
    rows: int = Field(ge=0, description="training rows that fell into this leaf")


class ModelTree(Spec):
    """A decision tree whose nodes are listed in preorder.

    Node i asks whether ``features[i] <= thresholds[i]``. If so, the next node follows; otherwise, node ``right[i]``. A
    leaf has an empty name in `features`; the leaves' formulas are in `leaves`, in the same order.
    """

    features: tuple[str, ...]
    thresholds: tuple[float, ...]
    right: tuple[int, ...] = Field(description="node that follows if the answer is no; 0 in a leaf")
    leaves: tuple[Leaf, ...]

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        count, leaves = len(self.features), sum(name == "" for name in self.features)
        if not count == len(self.thresholds) == len(self.right) or leaves != len(self.leaves):
            raise ValueError("features, thresholds, right and leaves do not match in length")
        for node, (name, right) in enumerate(zip(self.features, self.right, strict=True)):
            if name and not node + 1 < right < count:
                raise ValueError(f"right[{node}]: {right} is not a later node of the tree")
        return self


class Rule(NamedTuple):
    """A leaf, and the conditions that lead to it: feature, ``<=`` or ``>``, threshold."""

    conditions: list[tuple[str, str, float]]
    leaf: Leaf


def rules_of(tree: ModelTree) -> list[Rule]:
    """Return one rule per leaf, those with most training rows first."""
    leaves = iter(tree.leaves)

    def below(node: int, conditions: list[tuple[str, str, float]]) -> list[Rule]:
        name, threshold = tree.features[node], tree.thresholds[node]
        if not name:
            return [Rule(conditions, next(leaves))]
        left = below(node + 1, [*conditions, (name, "<=", threshold)])
        return left + below(tree.right[node], [*conditions, (name, ">", threshold)])

    return sorted(below(0, []), key=lambda rule: -rule.leaf.rows)


class Forest(NamedTuple):
    """Several trees as flat arrays for the compiled loop."""

    roots: NDArray[np.int32]
    feature: NDArray[np.int32]  # -1 in a leaf
    threshold: NDArray[np.float64]
    right: NDArray[np.int32]  # in a leaf: the index of the leaf
    terms: NDArray[np.int32]  # (leaves, LEAF_TERMS): columns of the features in a leaf's formula
    weights: NDArray[np.float64]  # (leaves, LEAF_TERMS)
    limits: NDArray[np.float64]  # (leaves, 3): constant, low, high


def plant(trees: Sequence[ModelTree], names: Sequence[str]) -> Forest:
    """Convert trees to flat arrays; `names` are the columns of the features that `evaluate` will get."""
    position = {name: index for index, name in enumerate(names)}
    roots: list[int] = []
    feature: list[int] = []
    threshold: list[float] = []
    right: list[int] = []
    leaves: list[Leaf] = []
    for tree in trees:
        root = len(feature)
        roots.append(root)
        number = itertools.count(len(leaves))
        for name, limit, node in zip(tree.features, tree.thresholds, tree.right, strict=True):
            feature.append(position[name] if name else -1)
            threshold.append(limit)
            right.append(root + node if name else next(number))
        leaves += tree.leaves
    terms, weights = np.zeros((len(leaves), LEAF_TERMS), np.int32), np.zeros((len(leaves), LEAF_TERMS))
    for row, leaf in enumerate(leaves):
        for column, (name, weight) in enumerate(leaf.weights.items()):
            terms[row, column], weights[row, column] = position[name], weight
    return Forest(
        roots=np.array(roots, np.int32),
        feature=np.array(feature, np.int32),
        threshold=np.array(threshold, np.float64),
        right=np.array(right, np.int32),
        terms=terms,
        weights=weights,
        limits=np.array([(leaf.constant, leaf.low, leaf.high) for leaf in leaves]).reshape(-1, 3),
    )


@compiled
def evaluate(forest: Forest, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate each tree on each row of features, shape (rows, features); the result has shape (rows, trees)."""
    answers = np.empty((len(features), len(forest.roots)))
    for i in range(len(features)):
        for t in range(len(forest.roots)):
            node = forest.roots[t]
            while forest.feature[node] >= 0:
                if features[i, forest.feature[node]] <= forest.threshold[node]:
                    node += 1
                else:
                    node = forest.right[node]
            leaf = forest.right[node]
            value = forest.limits[leaf, 0]
            for j in range(LEAF_TERMS):
                value += forest.weights[leaf, j] * features[i, forest.terms[leaf, j]]
            answers[i, t] = min(forest.limits[leaf, 2], max(forest.limits[leaf, 1], value))
    return answers
