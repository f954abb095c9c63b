"""distil: the answers of a large model -> a small ModelTree that answers nearly the same."""

import math

import numpy as np
from numpy.typing import NDArray

from adaptwin.arrays import Array
from adaptwin.errors import SpecError
from adaptwin.rounding import rounded
from adaptwin.surrogate.model_tree import LEAF_TERMS, Leaf, ModelTree
from adaptwin.surrogate.teacher import NO_SCIKIT_LEARN

LEAVES = 128
ODDS_LEAVES = 256  # a boundary needs more leaves than a smooth function
UNDECIDED_ODDS = 2.0  # the questions need not tell apart log odds beyond this: there the call is clear
FEWEST_ROWS = 150  # training rows in a leaf
RIDGE = 3.0  # strength of the ridge penalty, in rows of standardised features
LEAF_TAIL = 0.002  # share of a leaf's training rows beyond either limit of its formula


def distil(
    features: Array, taught: Array, names: tuple[str, ...], *, leaves: int = LEAVES, clear: float = math.inf
) -> ModelTree:
    """Fit a tree of formulas to `taught`, shape (rows,), the answers of a large model for `features`.

    The questions are those of a regression tree on answers clipped to `clear` on either side of zero. In each leaf, a
    ridge regression keeps the `LEAF_TERMS` features with the largest effect there.

    Raises:
        SpecError: scikit-learn is not installed.
    """
    try:
        from sklearn.tree import DecisionTreeRegressor
    except ImportError:
        raise SpecError(NO_SCIKIT_LEARN) from None
    fewest = min(FEWEST_ROWS, max(1, len(taught) // 10))
    grown = DecisionTreeRegressor(max_leaf_nodes=leaves, min_samples_leaf=fewest, random_state=0)
    tree = grown.fit(features, np.clip(taught, -clear, clear)).tree_
    order = _preorder(tree.children_left, tree.children_right)
    place = {node: index for index, node in enumerate(order)}
    in_leaf = tree.apply(features.astype(np.float32))
    asks = [int(tree.children_left[node]) >= 0 for node in order]
    return ModelTree(
        features=tuple(names[tree.feature[n]] if ask else "" for n, ask in zip(order, asks, strict=True)),
        thresholds=tuple(rounded(tree.threshold[n], 6) if ask else 0.0 for n, ask in zip(order, asks, strict=True)),
        right=tuple(place[tree.children_right[n]] if ask else 0 for n, ask in zip(order, asks, strict=True)),
        leaves=tuple(
            _leaf(features[in_leaf == node], taught[in_leaf == node], names)
            for node, ask in zip(order, asks, strict=True)
            if not ask
        ),
    )


def _preorder(left: NDArray[np.int64], right: NDArray[np.int64]) -> list[int]:
    order, stack = [], [0]
    while stack:
        node = stack.pop()
        order.append(node)
        if left[node] >= 0:
            stack += [int(right[node]), int(left[node])]
    return order


def _leaf(features: Array, taught: Array, names: tuple[str, ...]) -> Leaf:
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    varying = np.flatnonzero(deviation > 1e-9)
    weights = _ridge((features[:, varying] - mean[varying]) / deviation[varying], taught)
    kept = varying[np.argsort(-np.abs(weights))[:LEAF_TERMS]]
    weights = _ridge((features[:, kept] - mean[kept]) / deviation[kept], taught) / deviation[kept]
    low, high = np.quantile(taught, [LEAF_TAIL, 1.0 - LEAF_TAIL])
    kept_weights = {
        names[column]: rounded(weight, 6) for column, weight in zip(kept, weights, strict=True) if weight != 0.0
    }
    constant = taught.mean() - sum(kept_weights[names[c]] * mean[c] for c in kept if names[c] in kept_weights)
    return Leaf(
        constant=rounded(constant, 7),
        weights=kept_weights,
        low=rounded(low, 6),
        high=rounded(high, 6),
        rows=len(taught),
    )


def _ridge(standardised: Array, taught: Array) -> Array:
    gram = standardised.T @ standardised + RIDGE * np.eye(standardised.shape[1])
    weights: Array = np.linalg.solve(gram, standardised.T @ (taught - taught.mean()))
    return weights
