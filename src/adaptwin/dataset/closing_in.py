"""Closing in: at which loads to play a mix so as to find where its server stops serving everybody.

Planning happens at that boundary, so data is worth most there. Where it lies is not known beforehand; but each run
says on which side of it a load is.
"""

from typing import NamedTuple

import numpy as np

# How many of a default design's servers stop serving everybody below these utilisations. Only says where to look first.
_UTILISATIONS = np.log([0.01, 0.1, 0.3, 0.6, 0.8, 0.95, 1.1, 1.5, 4.0])
_SHARES = np.array([0.0, 0.05, 0.15, 0.3, 0.5, 0.75, 0.92, 0.98, 1.0])


class Bracket(NamedTuple):
    """Utilisations between which the boundary lies."""

    low: float = float(np.exp(_UTILISATIONS[0]))
    high: float = float(np.exp(_UTILISATIONS[-1]))

    def with_run(self, utilisation: float, *, served: bool) -> "Bracket":
        """The bracket after a run; where chance has it contradict an earlier one, the bracket shrinks to nothing."""
        if served:
            return self._replace(low=min(self.high, max(self.low, utilisation)))
        return self._replace(high=max(self.low, min(self.high, utilisation)))

    def at(self, share: float) -> float:
        """The utilisation below which the boundary lies with this probability."""
        low, high = np.interp(np.log([self.low, self.high]), _UTILISATIONS, _SHARES)
        return float(np.exp(np.interp(low + share * (high - low), _SHARES, _UTILISATIONS)))
