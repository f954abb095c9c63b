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

ROWS_DECIDE = 0.9  # certainty from which the rows alone decide: the standard error is a tenth of the scale or less
NOTHING_KNOWN = 0.02  # certainty below which the start value is kept
LITTLE_KNOWN = 0.8  # certainty, if all others were known, below which the interval holds 0 and twice the start value
LARGEST_ERROR = 0.25  # standard error of a constant that counts as determined, over its value
LEAST_OF_START = 0.1  # a constant that the rows do not determine is at least this share of its start value
MOST_MISFIT = 2.0  # residuals over the noise, above which the scales are too narrow for the rows
WIDENING, MOST_WIDENINGS = 4.0, 8  # factor of all scales where they are too narrow
SCALE_OF_ZERO = 0.3  # scale of a constant that starts at 0: the share of a row that it would explain


class Determination(NamedTuple):
    """Fitted constants, and how far the rows determine them; each array has the shape (constants,)."""

    constants: Array
    kept: NDArray[np.bool_]  # the rows say nothing about the constant: it has its start value
    tied: NDArray[np.bool_]  # the rows determine the constant only together with others, or only roughly


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
        scale: Plausible deviation of each constant from its start value; None: the start value.
    """
    weight = np.ones(len(target)) if weight is None else weight
    relative = columns / target[:, None]
    most = 1.0 / np.maximum(relative.max(axis=0, initial=0.0), 1e-300)  # with more, the constant exceeds a row alone
    scale = np.minimum(np.where(start > 0, start, SCALE_OF_ZERO * most) if scale is None else scale, most)
    near = np.minimum(start, most)
    noise = max(noise, _misfit(nonnegative(columns, target, weight), relative, weight))
    for _ in range(MOST_WIDENINGS):
        guess = nonnegative(columns, target, weight, anchors=Anchors(near, noise / scale, LEAST_OF_START * near))
        if _misfit(guess, relative, weight) <= MOST_MISFIT * noise:
            break
        scale = np.minimum(WIDENING * scale, most)
    informed = relative * (row_weights(relative @ guess - 1.0, weight) / noise)[:, None] * scale
    information = informed.T @ informed
    certainty = 1.0 - np.diag(np.linalg.inv(information + np.eye(len(start))))
    alone = np.diag(information) / (1.0 + np.diag(information))
    kept = ((certainty < NOTHING_KNOWN) | (alone < LITTLE_KNOWN)) & (near == start)
    free = certainty >= ROWS_DECIDE
    anchors = Anchors(near, np.where(free, 0.0, noise / scale), np.where(free, 0.0, LEAST_OF_START * near))
    constants = start.copy()
    constants[~kept] = nonnegative(
        columns[:, ~kept],
        target,
        weight,
        anchors=Anchors(*(each[~kept] for each in anchors)),
        given=columns[:, kept] @ start[kept],
    )
    error = scale * np.sqrt(1.0 - np.minimum(certainty, 1.0))
    rough = error > LARGEST_ERROR * np.maximum(constants, LEAST_OF_START * scale)
    return Determination(constants, kept, ~kept & (~free | rough))


def _misfit(constants: Array, relative: Array, weight: Array) -> float:
    """Return the standard deviation of normally distributed residuals with the same mean of absolute values."""
    return 1.25 * float(np.abs(weight * (relative @ constants - 1.0)).mean()) if len(weight) else 0.0
