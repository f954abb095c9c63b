"""SchedulerCost: the time that vLLM's scheduler takes to plan one step."""

from typing import NamedTuple

from pydantic import Field

from adaptwin.profile.seconds import Seconds
from adaptwin.spec import Spec


class SchedulerCoefficients(NamedTuple):
    """The constants of a `SchedulerCost` as a tuple for the inner loop; seconds."""

    base: float
    per_running: float
    per_waiting: float


class SchedulerCost(Spec):
    """Seconds of CPU time per step; without asynchronous scheduling, the GPU waits for it.

    A waiting request costs time whether the scheduler skips it for lack of a slot or stops before it: measured step
    times grow by 0.3 microseconds per waiting request in both cases.
    """

    base: Seconds = Field(description="seconds of every step")
    per_running: Seconds = Field(description="seconds per request scheduled in the step")
    per_waiting: Seconds = Field(description="seconds per request still waiting afterwards")

    def coefficients(self) -> SchedulerCoefficients:
        """Return the constants as a tuple for the inner loop."""
        return SchedulerCoefficients(self.base, self.per_running, self.per_waiting)


def scheduler_seconds(cost: SchedulerCoefficients, running: int, waiting: int) -> float:
    """Return the seconds of one scheduling pass; the kernel compiles this function, the reference twin calls it."""
    return cost.base + cost.per_running * running + cost.per_waiting * waiting
