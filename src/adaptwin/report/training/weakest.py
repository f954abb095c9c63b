"""The regimes in which the distilled models have the largest errors."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from adaptwin.surrogate.findings import RegimeLine

FEWEST_RUNS = 30  # runs that a regime needs to be ranked: fewer do not tell enough
WRONG_KIND = "predicted wrongly"
REGIME_ERRORS: tuple[tuple[str, str, Callable[[RegimeLine], float]], ...] = (
    ("throughput", "mean error", lambda line: line.throughput),
    ("mean ITL", "mean error", lambda line: line.itl),
    ("median TTFT", "median error", lambda line: line.ttft),
    ("overload", WRONG_KIND, lambda line: 100.0 * line.overload_wrong),
)


class Weakness(NamedTuple):
    """A figure, and a regime in which the distilled models have a large error."""

    figure: str  # such as "mean ITL"
    kind: str  # such as "mean error"
    regime: RegimeLine
    error: float  # per cent

    @property
    def where(self) -> str:
        """The dimension and the regime, in words."""
        return f"{self.regime.dimension}: {self.regime.regime}"


def weakest(regimes: Sequence[RegimeLine], most: int = 1) -> list[Weakness]:
    """Return the regimes with the largest errors of each figure; regimes with few runs are left out."""
    found = []
    for figure, kind, error in REGIME_ERRORS:
        known = [line for line in regimes if line.runs >= FEWEST_RUNS and math.isfinite(error(line))]
        known.sort(key=error, reverse=True)
        found += [Weakness(figure, kind, line, error(line)) for line in known[:most]]
    return found
