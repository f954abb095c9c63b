"""SchedulerCost: the time vLLM's scheduler takes to plan one step."""

from typing import NamedTuple

from pydantic import ConfigDict, Field

from adaptwin.spec import Spec


class SchedulerCoefficients(NamedTuple):
    """A `SchedulerCost` as the inner loop takes it."""

    base: float
    per_running: float
    per_waiting: float


class SchedulerCost(Spec):
    """Seconds of CPU time per step; before asynchronous scheduling the GPU waits for it.

    Waiting requests cost whether the scan passes over them for want of a slot or stops before them: measured step times
    grow by 0.3 microseconds per waiting request either way.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    base: float = Field(ge=0)
    per_running: float = Field(ge=0, description="per request scheduled in the step")
    per_waiting: float = Field(ge=0, description="per request that is still waiting afterwards")

    def coefficients(self) -> SchedulerCoefficients:
        """The same constants as the inner loop takes them."""
        return SchedulerCoefficients(self.base, self.per_running, self.per_waiting)


def scheduler_seconds(cost: SchedulerCoefficients, running: int, waiting: int) -> float:
    """Seconds of one scheduling pass. The kernel compiles this very function, the reference calls it as it is."""
    return cost.base + cost.per_running * running + cost.per_waiting * waiting
