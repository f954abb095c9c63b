"""WatchedFleet: what a watch needs of a fleet, whether its servers run or are simulated."""

from typing import NamedTuple, Protocol

from adaptwin.live.watching.observed import Observed
from adaptwin.plan.plans import Plans


class FleetChange(NamedTuple):
    """How far a running fleet is on its way to other plans."""

    is_complete: bool
    notes: tuple[str, ...] = ()


class WatchedFleet(Protocol):
    """A fleet that is observed for one stretch of time after the other, and brought to other plans."""

    def observe(self, running: Plans) -> Observed | None:
        """Return what was seen of the fleet over the next stretch of time, at its end; None if there is no more."""
        ...

    def change(self, found: Plans) -> FleetChange:
        """Bring the fleet to the plans that were found, or see how far it is."""
        ...
