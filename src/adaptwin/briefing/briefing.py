"""Briefing: what is found out about a plan for its report, beyond what the plan holds."""

from collections.abc import Mapping
from typing import NamedTuple

from adaptwin.explanation.explanation import Saving
from adaptwin.twin.run import Grade, Run


class NaivePlan(NamedTuple):
    """What a plan without a planner needs: adapters dealt to servers in turn, with a slot for each of them."""

    gpus: int | None  # None: no number of GPUs serves all adapters this way
    cost_per_hour: float | None
    verified: bool
    problem: str = ""  # why there is none


class MoreTraffic(NamedTuple):
    """What happens to a plan when all its traffic grows, and the GPUs that a new plan then needs."""

    factor: float  # on the traffic
    failing: Mapping[str, Grade]  # the verdict on each server that does not hold, by name
    gpus: int | None  # of a new plan; None where none was looked for, or there is none
    cost_per_hour: float | None
    verified: bool
    problem: str = ""  # why there is no new plan


class Briefing(NamedTuple):
    """What a report says of a plan beyond what the plan holds."""

    runs: Mapping[str, Run]  # of servers, by name, with the traffic of the plan; those with series have been recorded
    unsimulated: int  # servers without a run, because the plan has too many
    naive: NaivePlan | None = None  # None: not looked for
    more_traffic: tuple[MoreTraffic, ...] = ()
    savings: tuple[Saving, ...] = ()  # changes that would save GPUs, by estimate
