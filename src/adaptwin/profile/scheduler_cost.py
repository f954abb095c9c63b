"""SchedulerCost: the time vLLM's scheduler takes to plan one step."""

from typing import NamedTuple

from pydantic import ConfigDict, Field

from adaptwin.spec import Spec


class SchedulerCoefficients(NamedTuple):
    """A `SchedulerCost` as the inner loop takes it."""

    base: float
    per_running: float
    per_skipped: float


class SchedulerCost(Spec):
    """Seconds of CPU time per step; before asynchronous scheduling the GPU waits for it."""

    model_config = ConfigDict(allow_inf_nan=False)

    base: float = Field(ge=0)
    per_running: float = Field(ge=0, description="per request scheduled in the step")
    per_skipped: float = Field(ge=0, description="per waiting request scanned and skipped for want of a slot")

    def coefficients(self) -> SchedulerCoefficients:
        """The same constants as the inner loop takes them."""
        return SchedulerCoefficients(self.base, self.per_running, self.per_skipped)


def scheduler_seconds(cost: SchedulerCoefficients, running: int, skipped: int) -> float:
    """Seconds of one scheduling pass. The kernel compiles this very function, the reference calls it as it is."""
    return cost.base + cost.per_running * running + cost.per_skipped * skipped
