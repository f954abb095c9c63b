"""Region: where the training data lies. Outside it the surrogate would extrapolate, and its predictions say so."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from adaptwin.arrays import Array
from adaptwin.jit import compiled
from adaptwin.rounding import rounded
from adaptwin.spec import Spec
from adaptwin.surrogate.model_tree import Coefficient

BOX_TAIL = 0.0005  # share of the training rows beyond either end of the box
INSIDE_SHARE = 0.999  # share of the training rows within the largest distance from the mean that counts as inside
BOX_SLACK = 0.02  # share of the box's width by which a row may lie outside the box and still count as inside


class Region(Spec):
    """A box around the training rows, and an ellipsoid in it that excludes unusual combinations of usual values."""

    features: tuple[str, ...]
    low: tuple[Coefficient, ...]
    high: tuple[Coefficient, ...]
    mean: tuple[Coefficient, ...]
    whitening: tuple[tuple[Coefficient, ...], ...] = Field(
        description="rows of a triangular matrix that makes features uncorrelated"
    )
    farthest: Coefficient = Field(gt=0, description="largest squared distance from the mean, whitened, that is inside")

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        count = len(self.features)
        for name in ("low", "high", "mean", "whitening"):
            if len(getattr(self, name)) != count:
                raise ValueError(f"{name}: {len(getattr(self, name))} entries for {count} features")
        for place, (name, low, high) in enumerate(zip(self.features, self.low, self.high, strict=True)):
            if low > high:
                raise ValueError(f"low[{place}]: {low:g} is above high {high:g} of {name!r}")
            if len(self.whitening[place]) != place + 1:
                raise ValueError(f"whitening[{place}]: {len(self.whitening[place])} entries instead of {place + 1}")
        return self

    @classmethod
    def around(cls, features: Array, names: tuple[str, ...]) -> Self:
        """Return the region of these training rows, of shape (rows, features)."""
        low, high = np.quantile(features, [BOX_TAIL, 1.0 - BOX_TAIL], axis=0)
        inside = np.clip(features, low, high)
        mean, deviation = inside.mean(axis=0), inside.std(axis=0) + 1e-6
        covariance = np.cov((inside - mean) / deviation, rowvar=False) + 1e-3 * np.eye(len(names))
        whitening = np.linalg.inv(np.linalg.cholesky(covariance)) / deviation
        distances = (((inside - mean) @ whitening.T) ** 2).sum(axis=1)
        return cls(
            features=names,
            low=_rounded(low),
            high=_rounded(high),
            mean=_rounded(mean),
            whitening=tuple(_rounded(row[: i + 1]) for i, row in enumerate(whitening)),
            farthest=float(np.quantile(distances, INSIDE_SHARE)),
        )

    def arrays(self) -> "RegionArrays":
        """Return the region as flat arrays for the compiled loop."""
        count = len(self.features)
        whitening = np.zeros((count, count))
        for i, row in enumerate(self.whitening):
            whitening[i, : i + 1] = row
        return RegionArrays(np.array(self.low), np.array(self.high), np.array(self.mean), whitening, self.farthest)


class RegionArrays(NamedTuple):
    """A `Region` in flat arrays."""

    low: Array
    high: Array
    mean: Array
    whitening: Array
    farthest: float


def _rounded(values: Array) -> tuple[float, ...]:
    return tuple(rounded(value, 6) for value in values)


@compiled
def clip_to(region: RegionArrays, features: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Clip the features to the box, and tell which rows were inside the region: (rows, features), (rows,)."""
    rows, count = features.shape
    clipped, inside = np.empty((rows, count)), np.ones(rows, np.bool_)
    for i in range(rows):
        for j in range(count):
            slack = BOX_SLACK * (region.high[j] - region.low[j]) + 1e-9
            value = features[i, j]
            inside[i] &= region.low[j] - slack <= value <= region.high[j] + slack
            clipped[i, j] = min(region.high[j], max(region.low[j], value))
        distance = 0.0
        for j in range(count):
            if distance > region.farthest:
                break
            whitened = 0.0
            for k in range(j + 1):
                whitened += region.whitening[j, k] * (clipped[i, k] - region.mean[k])
            distance += whitened * whitened
        inside[i] &= distance <= region.farthest
    return clipped, inside
