"""Robust least squares with non-negative coefficients, the solver of every part of the fit."""

import numpy as np

from adaptwin.arrays import Array

HUBER = 0.06  # relative residual beyond which a row's influence no longer grows
REWEIGHTING_ROUNDS = 6


def nonnegative(columns: Array, target: Array, weight: Array | None = None) -> Array:
    """Find the coefficients x >= 0 for which ``columns @ x`` is closest to `target`, in relative terms.

    Minimises the weighted Huber loss of ``columns @ x / target - 1`` by iteratively reweighted least squares (scipy's
    ``nnls``, Lawson and Hanson's algorithm), so that a few outliers have little influence.

    Args:
        columns: Shape (rows, coefficients), non-negative.
        target: Shape (rows,), above 0.
        weight: Weight of each row's residual, shape (rows,); None weighs all rows equally.

    Raises:
        ImportError: scipy is not installed.
    """
    try:
        from scipy.optimize import nnls
    except ImportError:
        raise ImportError("fitting needs scipy: pip install 'adaptwin[fit]'") from None
    weight = np.ones(len(target)) if weight is None else weight
    relative = columns / target[:, None]
    scale = np.maximum(relative.max(axis=0), 1e-300)
    scaled = relative / scale
    pull = weight.copy()
    for _ in range(REWEIGHTING_ROUNDS):
        solution, _ = nnls(scaled * pull[:, None], pull)
        residual = scaled @ solution - 1.0
        pull = weight * np.sqrt(1.0 / np.maximum(1.0, np.abs(residual) / HUBER))
    return np.asarray(solution / scale)
