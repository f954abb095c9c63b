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

ROWS_DECIDE = 0.9  # certainty from which the rows alone decide: the standard error is a tenth of the scale or less
SURELY = 0.99  # certainty from which a constant may be far below its start value, down to 0
NOTHING_KNOWN = 0.02  # certainty below which the start value is kept
LITTLE_KNOWN = 0.8  # certainty, if all others were known, below which the interval holds 0 and twice the start value
LARGEST_ERROR = 0.2  # standard error of a constant that counts as determined, over its value
LEAST_OF_START = 0.1  # a constant that the rows do not determine is at least this share of its start value
MOST_MISFIT = 2.0  # residuals over the noise, above which the scales are too narrow for the rows
WIDENING, MOST_WIDENINGS = 4.0, 8  # factor of all scales where they are too narrow
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
    weight: Array | None = None,
    *,
    start: Array,
    noise: float,
    scale: Array | None = None,
) -> Determination:
    """Fit ``columns @ constants`` to `target`, in relative terms; what the rows do not determine stays at `start`.

    The rows alone decide on a constant whose standard error is small beside the scale. A constant of which the rows
    determine only a sum with others is drawn to its start value as well, and stays above a tenth of it. A constant on
    which the rows do not depend keeps its start value.

    Args:
        columns: Shape (rows, constants), non-negative.
        target: Shape (rows,), above 0.
        start: Start values, shape (constants,).
        noise: Relative error of a row, at least; it is larger if the residuals are.
        weight: Weight of each row's residual, shape (rows,); None weighs all rows equally.
        scale: Plausible deviation of each constant from its start value; None: twice the start value.
    """
    weight = np.ones(len(target)) if weight is None else weight
    relative = columns / target[:, None]
    most = 1.0 / np.maximum(relative.max(axis=0, initial=0.0), 1e-300)  # with more, the constant exceeds a row alone
    scale = np.minimum(
        np.where(start > 0, PLAUSIBLE_CHANGE * start, SCALE_OF_ZERO * most) if scale is None else scale, most
    )
    near = np.minimum(start, most)
    least = LEAST_OF_START * near
    noise = max(noise, _misfit(nonnegative(columns, target, weight), relative, weight))
    for _ in range(MOST_WIDENINGS):
        guess = nonnegative(columns, target, weight, anchors=Anchors(near, noise / scale, least))
        if _misfit(guess, relative, weight) <= MOST_MISFIT * noise:
            break
        scale = np.minimum(WIDENING * scale, most)
    informed = relative * (row_weights(relative @ guess - 1.0, weight) / noise)[:, None] * scale
    information = informed.T @ informed
    certainty = 1.0 - np.diag(np.linalg.inv(information + np.eye(len(start))))
    alone = np.diag(information) / (1.0 + np.diag(information))
    kept = ((certainty < NOTHING_KNOWN) | (alone < LITTLE_KNOWN)) & (near == start)
    free = certainty >= ROWS_DECIDE
    constants = _fitted(columns, target, weight, Anchors(near, noise / scale, least), kept, free)
    vanished = free & (constants < least) & (certainty < SURELY)
    if vanished.any():
        free &= ~vanished
        constants = _fitted(columns, target, weight, Anchors(near, noise / scale, least), kept, free)
    error = scale * np.sqrt(1.0 - np.minimum(certainty, 1.0))
    rough = error > LARGEST_ERROR * np.maximum(constants, LEAST_OF_START * scale)
    return Determination(constants, kept, ~kept & (~free | rough))


def _fitted(
    columns: Array, target: Array, weight: Array, anchors: Anchors, kept: OfConstants, free: OfConstants
) -> Array:
    """Fit the constants that are not kept at their start values; those that are free are not anchored."""
    strength, least = np.where(free, 0.0, anchors.strength), np.where(free, 0.0, anchors.least)
    constants = anchors.value.copy()
    constants[~kept] = nonnegative(
        columns[:, ~kept],
        target,
        weight,
        anchors=Anchors(anchors.value[~kept], strength[~kept], least[~kept]),
        given=columns[:, kept] @ constants[kept],
    )
    return constants


def _misfit(constants: Array, relative: Array, weight: Array) -> float:
    """Return the standard deviation of normally distributed residuals with the same mean of absolute values."""
    return 1.25 * float(np.abs(weight * (relative @ constants - 1.0)).mean()) if len(weight) else 0.0
