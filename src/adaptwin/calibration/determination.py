"""Determination: fit the constants that measurements determine, and keep the others at their start values.

Plain least squares gives any value, often 0, to a constant on which no row depends, and to one that the rows cannot
tell from another: on servers of one rank, a higher rank would cost nothing. Here each constant has a start value and a
scale, which is a plausible deviation from it. The information of the rows about a constant is compared with that scale,
as in Bayesian linear regression (Rodgers, Inverse Methods for Atmospheric Sounding, 2000, chapter 2: the diagonal of
the averaging kernel).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.arrays import Array
from adaptwin.calibration.least_squares import Anchors, nonnegative, row_weights
from adaptwin.rounding import rounded

OfConstants = NDArray[np.bool_]

ROWS_DECIDE = 0.8  # certainty from which the rows alone decide: the standard error is under half of the scale
SURE_CERTAINTY = 0.99  # certainty from which a constant may be far below its start value, down to 0
NOTHING_KNOWN = 0.02  # certainty below which the start value is kept
LITTLE_KNOWN = 0.8  # certainty, if all others were known, below which the interval holds 0 and twice the start value
LARGEST_ERROR = 0.1  # error of a constant that counts as determined, over its value
LEAST_OF_START = 0.1  # a constant that the rows do not determine is at least this share of its start value
MOST_MISFIT = 2.0  # residuals over the noise, above which the scales are too narrow for the rows
SCALE_FACTOR, MOST_WIDENINGS = 4.0, 8  # factor of all scales where they are too narrow
PLAUSIBLE_CHANGE = 2.0  # scale of a constant, as a multiple of its start value
SCALE_OF_ZERO = 0.3  # scale of a constant that starts at 0: the share of a row that it would explain


class Determination(NamedTuple):
    """Fitted constants, and how far the rows determine them; each array has the shape (constants,)."""

    constants: Array
    kept: OfConstants  # the rows say nothing about the constant: it has its start value
    tied: OfConstants  # the rows determine the constant only together with others, or only roughly

    def written(self, digits: int) -> list[float]:
        """Return the constants as a profile holds them: rounded, but for those that have their start values."""
        return [
            float(value) if kept else rounded(value, digits)
            for value, kept in zip(self.constants, self.kept, strict=True)
        ]


def determined(
    columns: Array,
    target: Array,
    *,
    start: Array,
    noise: float,
    scale: Array | None = None,
    weight: Array | None = None,
    importance: Array | None = None,
    loose: Array | None = None,
    given: Array | None = None,
) -> Determination:
    """Fit ``columns @ constants + given`` to `target`, relative to it; what the rows do not determine stays at `start`.

    The rows alone decide on a constant whose standard error is small beside the scale. A constant of which the rows
    determine only a sum with others is drawn to its start value as well, and stays above a tenth of it. A constant on
    which the rows do not depend keeps its start value.

    Args:
        columns: Shape (rows, constants), non-negative.
        target: Shape (rows,), above 0.
        start: Start values, shape (constants,).
        noise: Standard deviation of a row's relative error, at least; it is larger if the residuals are.
        scale: Plausible deviation of each constant from its start value; None: twice the start value.
        weight: Factor by which a row's relative residual is multiplied to be comparable with the noise; None: 1.
        importance: Further factor of a row's residual in the fit, which says nothing about its noise; None: 1.
        loose: Amounts by which parts of the target that are not fitted may be off together, shape (rows, parts). They
            make constants uncertain that could explain them.
        given: Part of the target that is known, shape (rows,); None: 0.
    """
    ones = np.ones(len(target))
    problem = _Problem(columns, target, start, ones if weight is None else weight)
    problem.given = 0.0 * ones if given is None else given
    problem.importance = ones if importance is None else importance
    problem.choose_scale(noise, scale)
    information = problem.information(np.empty((len(target), 0)) if loose is None else loose)
    certainty = (1.0 - np.diag(np.linalg.inv(information + np.eye(len(information)))))[: len(start)]
    alone = (np.diag(information) / (1.0 + np.diag(information)))[: len(start)]
    kept = ((certainty < NOTHING_KNOWN) | (alone < LITTLE_KNOWN)) & (problem.near == start)
    free = certainty >= ROWS_DECIDE
    constants = problem.fitted(kept, free)
    vanished = free & (constants < problem.least) & (certainty < SURE_CERTAINTY)
    if vanished.any():
        free &= ~vanished
        constants = problem.fitted(kept, free)
    error = problem.scale * _errors_of_constants(information, kept, free)
    rough = error > LARGEST_ERROR * np.maximum(constants, LEAST_OF_START * problem.scale)
    return Determination(constants, kept, ~kept & (~free | rough))


class _Problem:
    """The rows to fit, the start values and scales of the constants, and the noise of the rows."""

    def __init__(self, columns: Array, target: Array, start: Array, weight: Array) -> None:
        self.columns, self.target, self.start, self.weight = columns, target, start, weight
        self.importance, self.given = np.ones(len(target)), np.zeros(len(target))
        self.relative = columns / target[:, None]
        self.most = 1.0 / np.maximum(self.relative.max(axis=0, initial=0.0), 1e-300)  # it alone then explains a row
        self.near = np.minimum(start, self.most)
        self.least = LEAST_OF_START * self.near
        self.scale, self.noise = self.most, 0.0

    def choose_scale(self, noise: float, scale: Array | None) -> None:
        """Take the scale of each constant, wider if the rows contradict it, and the noise, larger if residuals are."""
        usual = np.where(self.start > 0, PLAUSIBLE_CHANGE * self.start, SCALE_OF_ZERO * self.most)
        self.scale = np.minimum(usual if scale is None else scale, self.most)
        plain = nonnegative(self.columns, self.target, self.weight * self.importance, given=self.given)
        self.noise = max(noise, self._misfit(plain))
        for _ in range(MOST_WIDENINGS):
            if self._misfit(self.guess()) <= MOST_MISFIT * self.noise:
                break
            self.scale = np.minimum(SCALE_FACTOR * self.scale, self.most)

    def guess(self) -> Array:
        """Fit all constants, each drawn to its start value."""
        none = np.zeros(len(self.start), dtype=bool)
        return self.fitted(kept=none, free=none)

    def fitted(self, kept: OfConstants, free: OfConstants) -> Array:
        """Fit the constants that are not kept at their start values; those that are free are not drawn to them."""
        pull = float(self.importance.min(initial=1.0)) * self.noise / self.scale
        strength, least = np.where(free, 0.0, pull), np.where(free, 0.0, self.least)
        constants = self.near.copy()
        constants[~kept] = nonnegative(
            self.columns[:, ~kept],
            self.target,
            self.weight * self.importance,
            anchors=Anchors(self.near[~kept], strength[~kept], least[~kept]),
            given=self.given + self.columns[:, kept] @ constants[kept],
        )
        return np.asarray(constants)

    def information(self, loose: Array) -> Array:
        """Return the rows' information about the constants and the loose parts of the target, in units of the scales.

        It is the inverse of the covariance that plain least squares would have.
        """
        weight = row_weights(self._residuals(self.guess()), self.weight) / self.noise
        informed = np.hstack([self.columns * self.scale, loose]) * (weight / self.target)[:, None]
        return np.asarray(informed.T @ informed)

    def _residuals(self, constants: Array) -> Array:
        return np.asarray(self.relative @ constants + self.given / self.target - 1.0)

    def _misfit(self, constants: Array) -> float:
        """Return the standard deviation of normally distributed residuals with the same mean of absolute values."""
        residual = self.weight * self._residuals(constants)
        return 1.25 * float(np.abs(residual).mean()) if len(residual) else 0.0


def _errors_of_constants(information: Array, kept: OfConstants, free: OfConstants) -> Array:
    """Return the error of each fitted constant, in scales: that from noise or from the start values, the larger one.

    The error from the start values is that where each of them, and each loose part, is off by one scale, and where all
    of these errors add up.
    """
    others = np.concatenate([kept, np.ones(len(information) - len(kept), dtype=bool)])
    among, from_others = information[~others][:, ~others], information[~others][:, others]
    anchored = np.diag(np.where(free[~kept], 0.0, 1.0))
    inverse = np.linalg.pinv(among + anchored)
    noise = np.sqrt(np.maximum(np.diag(inverse @ among @ inverse), 0.0))
    start = np.abs(inverse @ anchored).sum(axis=1) + np.abs(inverse @ from_others).sum(axis=1)
    errors = np.zeros(len(kept))
    errors[~kept] = np.maximum(noise, start)
    return errors
