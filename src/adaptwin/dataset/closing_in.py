"""Closing in: choose the loads of a mix so that its runs approach the boundary of what its server sustains.

The boundary is the load above which the server stops serving all its traffic. Planners work at that boundary, so data
is worth most there. Its place is not known beforehand, but each run shows on which side of it a load lies.
"""

from typing import NamedTuple

import numpy as np

# Share of the servers in a default design whose boundary lies below each utilisation. Only guides where to look first.
_UTILISATIONS = np.log([0.01, 0.1, 0.3, 0.6, 0.8, 0.95, 1.1, 1.5, 4.0])
_SHARES = np.array([0.0, 0.05, 0.15, 0.3, 0.5, 0.75, 0.92, 0.98, 1.0])


class Bracket(NamedTuple):
    """Two utilisations between which the boundary lies."""

    low: float = float(np.exp(_UTILISATIONS[0]))
    high: float = float(np.exp(_UTILISATIONS[-1]))

    def with_run(self, utilisation: float, *, served: bool) -> "Bracket":
        """Return the bracket narrowed by a run; a run that contradicts an earlier one shrinks it to a point."""
        if served:
            return self._replace(low=min(self.high, max(self.low, utilisation)))
        return self._replace(high=max(self.low, min(self.high, utilisation)))

    def at(self, share: float) -> float:
        """Return the utilisation below which the boundary lies with probability `share`."""
        low, high = np.interp(np.log([self.low, self.high]), _UTILISATIONS, _SHARES)
        return float(np.exp(np.interp(low + share * (high - low), _SHARES, _UTILISATIONS)))
