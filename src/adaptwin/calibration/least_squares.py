"""Robust least squares with non-negative coefficients, the solver of every part of the fit."""

from typing import NamedTuple

import numpy as np

from adaptwin.arrays import Array

HUBER = 0.06  # relative residual beyond which a row's influence no longer grows
REWEIGHTING_ROUNDS = 6


class Anchors(NamedTuple):
    """Values to which coefficients are drawn, and their lower bounds; each of shape (coefficients,)."""

    value: Array  # the value to which a coefficient is drawn
    strength: Array  # relative residual of a row that weighs as much as a deviation of 1 from the value; 0: not drawn
    least: Array  # lower bound of the coefficient


def nonnegative(
    columns: Array,
    target: Array,
    weight: Array | None = None,
    *,
    anchors: Anchors | None = None,
    given: Array | None = None,
) -> Array:
    """Find the coefficients x >= 0 for which ``columns @ x`` is closest to `target`, in relative terms.

    Minimises the weighted Huber loss of ``columns @ x / target - 1`` by iteratively reweighted least squares (scipy's
    ``nnls``, Lawson and Hanson's algorithm), so that a few outliers have little influence.

    Args:
        columns: Shape (rows, coefficients), non-negative.
        target: Shape (rows,), above 0.
        weight: Weight of each row's residual, shape (rows,); None weighs all rows equally.
        anchors: Adds ``(strength * (x - value)) ** 2`` to the loss and requires ``x >= least``.
        given: Part of the target that does not depend on the coefficients, shape (rows,); None: 0.

    Raises:
        ImportError: scipy is not installed.
    """
    weight = np.ones(len(target)) if weight is None else weight
    relative = columns / target[:, None]
    least = np.zeros(columns.shape[1]) if anchors is None else anchors.least
    above = 1.0 - relative @ least - (0.0 if given is None else given / target)  # for x - least to explain
    drawn = np.empty((0, columns.shape[1])) if anchors is None else np.diag(anchors.strength)
    drawn_to = np.empty(0) if anchors is None else anchors.strength * (anchors.value - least)
    pull = weight.copy()
    for _ in range(REWEIGHTING_ROUNDS):
        rows = np.vstack([relative * pull[:, None], drawn])
        solution = _nnls(rows, np.append(above * pull, drawn_to))
        pull = row_weights(relative @ solution - above, weight)
    return least + solution


def row_weights(residual: Array, weight: Array) -> Array:
    """Return the weight of each row in the last least-squares problem: lower for residuals above `HUBER`."""
    return np.asarray(weight * np.sqrt(1.0 / np.maximum(1.0, np.abs(residual) / HUBER)))


def _nnls(rows: Array, right: Array) -> Array:
    try:
        from scipy.optimize import nnls
    except ImportError:
        raise ImportError("fitting needs scipy: pip install 'adaptwin[fit]'") from None
    if not rows.size:  # scipy's nnls crashes without rows
        return np.zeros(rows.shape[1])
    scale = np.maximum(np.abs(rows).max(axis=0), 1e-300)
    return np.asarray(nnls(rows / scale, right)[0] / scale)
