"""The paper's measures of error: half-SMAPE, the determination R², and accuracy and macro-F1 of starvation."""

import numpy as np
from numpy.typing import ArrayLike

HALF_SMAPE = "half-SMAPE is 100 · mean(|y − ŷ| / (|y| + |ŷ|)), about half of the usual SMAPE and of MAPE"


def half_smape(predicted: ArrayLike, real: ArrayLike) -> float:
    """Return the paper's error, in per cent, over the rows that have both figures."""
    a, b = _both(predicted, real)
    return float(100.0 * np.mean(np.abs(a - b) / (np.abs(a) + np.abs(b))))


def mape(predicted: ArrayLike, real: ArrayLike) -> float:
    """Return the mean absolute percentage error over the rows that have both figures."""
    return float(np.mean(np.abs(signed_errors(predicted, real))))


def signed_errors(predicted: ArrayLike, real: ArrayLike) -> np.ndarray:
    """Return the signed errors in per cent of the rows that have both figures."""
    a, b = _both(predicted, real)
    return 100.0 * (a / b - 1.0)


def determination(predicted: ArrayLike, real: ArrayLike) -> float:
    """Return R², the share of the variance of the real figures that predictions explain."""
    a, b = _both(predicted, real)
    return float(1.0 - np.sum((a - b) ** 2) / np.sum((b - b.mean()) ** 2))


def macro_f1(predicted: ArrayLike, real: ArrayLike) -> float:
    """Return the mean of F1 over both classes, as the paper scores starvation."""
    a, b = np.asarray(predicted, np.bool_), np.asarray(real, np.bool_)
    scores = [2 * np.sum(p & r) / max(1, np.sum(p) + np.sum(r)) for p, r in ((a, b), (~a, ~b))]
    return float(np.mean(scores))


def agreement(predicted: ArrayLike, real: ArrayLike) -> float:
    """Return the share of the rows for which two flags agree."""
    return float(np.mean(np.asarray(predicted, np.bool_) == np.asarray(real, np.bool_)))


def _both(predicted: ArrayLike, real: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(predicted, np.float64), np.asarray(real, np.float64)
    known = np.isfinite(a) & np.isfinite(b)
    return a[known], b[known]
