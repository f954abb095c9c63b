"""ModelTree: a small decision tree with a short linear formula in each leaf, readable and fast to evaluate."""

import itertools
from collections.abc import Sequence
from typing import Annotated, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from adaptwin.jit import compiled
from adaptwin.spec import Spec

LEAF_TERMS = 8  # features in a leaf's formula
LARGEST_NUMBER = 1e12  # bound on the numbers of a formula: below it, no sum of a few products overflows
LARGEST_ANSWER = 100.0  # bound on what a formula may answer: its exponential is finite

Coefficient = Annotated[float, Field(strict=True, ge=-LARGEST_NUMBER, le=LARGEST_NUMBER, allow_inf_nan=False)]
Limit = Annotated[float, Field(strict=True, ge=-LARGEST_ANSWER, le=LARGEST_ANSWER, allow_inf_nan=False)]
Node = Annotated[int, Field(strict=True, ge=0)]


class Leaf(Spec):
    """A formula: ``constant + sum of weight x feature``, clipped to `low` and `high`."""

    constant: Coefficient
    weights: dict[str, Coefficient] = Field(max_length=LEAF_TERMS, description="one weight per feature, by its name")
    low: Limit
    high: Limit
    rows: int = Field(strict=True, ge=0, description="training rows that fell into this leaf")

    @model_validator(mode="after")
    def _is_open(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}")
        return self


class ModelTree(Spec):
    """A decision tree whose nodes are listed in preorder.

    Node i asks whether ``features[i] <= thresholds[i]``. If so, the next node follows; otherwise, node ``right[i]``. A
    leaf has an empty name in `features`; the leaves' formulas are in `leaves`, in the same order.
    """

    features: tuple[str, ...]
    thresholds: tuple[Coefficient, ...]
    right: tuple[Node, ...] = Field(description="node that follows if the answer is no; 0 in a leaf")
    leaves: tuple[Leaf, ...]

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        count, leaves = len(self.features), sum(name == "" for name in self.features)
        if not count == len(self.thresholds) == len(self.right) or leaves != len(self.leaves):
            raise ValueError("features, thresholds, right and leaves do not match in length")
        if not count:
            raise ValueError("features: a tree needs at least one leaf")
        end = [0] * (count + 1)  # of the subtree of each node: the node that follows its last one
        for node in reversed(range(count)):
            if not self.features[node]:
                end[node] = node + 1
            elif node + 1 < count and self.right[node] == end[node + 1] < count:
                end[node] = end[self.right[node]]
            else:
                raise ValueError(f"right[{node}]: {self.right[node]} is not the node after the left subtree")
        if end[0] != count:
            raise ValueError(f"features: the tree ends at node {end[0]}, but {count} are given")
        return self

    @property
    def used(self) -> set[str]:
        """Names of the features in the questions and the formulas."""
        return {*self.features, *itertools.chain.from_iterable(leaf.weights for leaf in self.leaves)} - {""}


class Rule(NamedTuple):
    """A leaf, and the conditions that lead to it: feature, ``<=`` or ``>``, threshold."""

    conditions: list[tuple[str, str, float]]
    leaf: Leaf


def rules_of(tree: ModelTree) -> list[Rule]:
    """Return one rule per leaf, those with most training rows first."""
    leaves, rules = iter(tree.leaves), []
    stack: list[tuple[int, list[tuple[str, str, float]]]] = [(0, [])]
    while stack:  # in preorder, as the leaves are listed
        node, conditions = stack.pop()
        name, threshold = tree.features[node], tree.thresholds[node]
        if name:
            stack.append((tree.right[node], [*conditions, (name, ">", threshold)]))
            stack.append((node + 1, [*conditions, (name, "<=", threshold)]))
        else:
            rules.append(Rule(conditions, next(leaves)))
    return sorted(rules, key=lambda rule: -rule.leaf.rows)


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
