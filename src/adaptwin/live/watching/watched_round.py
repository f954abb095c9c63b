"""WatchedRound: one round of a watch."""

from collections.abc import Mapping
from typing import NamedTuple

from adaptwin.live.watching.decision import WatchDecision
from adaptwin.live.watching.observed import Observed
from adaptwin.live.watching.watched_fleet import FleetChange
from adaptwin.plan.plans import Plans
from adaptwin.twin.run import Run


class WatchedRound(NamedTuple):
    """One round of a watch: what was seen, what the twin says of it, what was decided, and what came of that."""

    observed: Observed
    expected: Mapping[str, Run]  # the twin with the traffic that was seen, by server
    decision: WatchDecision
    running: Plans  # during the round
    found: Plans | None  # that should run, and do not yet
    change: FleetChange | None  # None if nothing is to be changed
