"""WatchDecision: what is made of a fleet at one moment."""

from typing import Literal, NamedTuple

from adaptwin.live.watching.forecast import RateForecast
from adaptwin.live.watching.outlook import Outlook
from adaptwin.plan.migration import Migration
from adaptwin.plan.plans import Plans

DecisionKind = Literal["holds", "change", "fewer", "waits", "returns", "unknown", "impossible"]


class WatchDecision(NamedTuple):
    """Whether the running plans hold for the next hour, and the plans that should run instead, if any.

    ``holds``: the plans hold. ``change``: they do not, and others do. ``fewer``: they hold, and so do others with fewer
    GPUs. ``waits``: plans that were found before are not in place yet, and hold. ``returns``: plans that were found
    before are not in place yet, and are given up for those that run, which hold. ``unknown``: too little is known of
    the traffic. ``impossible``: the plans do not hold, and no others were found.
    """

    kind: DecisionKind
    forecast: RateForecast | None = None
    outlook: Outlook | None = None  # of the running plans
    plans: Plans | None = None  # that should run instead
    notes: tuple[str, ...] = ()

    @property
    def moves(self) -> int:
        """Adapters that move to another server."""
        return sum(migration.moves for migration in self._migrations)

    @property
    def restarts(self) -> int:
        """Servers that restart with other settings."""
        return sum(migration.restarts for migration in self._migrations)

    @property
    def _migrations(self) -> list[Migration]:
        return [plan.migration for plan in self.plans.plans if plan.migration] if self.plans else []
