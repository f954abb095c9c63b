"""Scores: errors of predictions against runs, with confidence intervals over the choice of mixes."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.arrays import Array

RESAMPLINGS = 500
LEVELS = (0.025, 0.975)
BINS = 10  # bins of predicted probability, in each of which it is compared with the observed frequency


class ScoreWithInterval(NamedTuple):
    """A score with its 95 % interval, by resampling the mixes."""

    value: float
    low: float
    high: float


def error(predicted: Array, actual: Array) -> Array:
    """Absolute errors in per cent of the actual value; NaN where that is not defined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        errors: Array = np.abs(predicted / actual - 1.0) * 100.0
    return np.where(np.isfinite(errors), errors, np.nan)


def mean_error(predicted: Array, actual: Array, mixes: NDArray[np.int64]) -> ScoreWithInterval:
    """Mean absolute percentage error, with its interval over mixes."""
    errors = error(predicted, actual)
    known = np.isfinite(errors)
    return _resampled((np.where(known, errors, 0.0), known.astype(np.float64)), mixes, lambda s: s[0] / s[1])


def f1(probability: Array, happened: NDArray[np.bool_], mixes: NDArray[np.int64]) -> ScoreWithInterval:
    """F1 of an event that counts as predicted where its probability is above one half, with its interval over mixes."""
    called = probability > 0.5
    counts = ((called & happened).astype(np.float64), (called ^ happened).astype(np.float64))
    return _resampled(counts, mixes, lambda s: 2.0 * s[0] / (2.0 * s[0] + s[1]))


def calibration_error(probability: Array, happened: NDArray[np.bool_]) -> float:
    """Expected calibration error: mean gap between predicted probability and observed frequency, over equal bins."""
    bins = np.minimum(BINS - 1, (probability * BINS).astype(np.int64))
    total = np.bincount(bins, minlength=BINS)
    gaps = np.abs(np.bincount(bins, probability, BINS) - np.bincount(bins, happened, BINS))
    return float(gaps.sum() / total.sum())


def _resampled(
    columns: tuple[Array, ...], mixes: NDArray[np.int64], figure: Callable[[Array], Array]
) -> ScoreWithInterval:
    """Compute a score from sums over rows, and its interval from resampling whole mixes."""
    _, group = np.unique(mixes, return_inverse=True)
    sums = np.array([np.bincount(group, column) for column in columns])
    count = sums.shape[1]
    weights = np.random.default_rng(0).multinomial(count, np.full(count, 1.0 / count), size=RESAMPLINGS)
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = np.nanquantile(figure(sums @ weights.T), LEVELS)
        return ScoreWithInterval(float(figure(sums.sum(axis=1))), float(low), float(high))
