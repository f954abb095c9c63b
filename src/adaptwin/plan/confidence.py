"""Confidence: the probability that a plan holds in a fresh hour, as simulated."""

from pydantic import Field

from adaptwin.plan.stress import Proportion
from adaptwin.spec import Spec


class Confidence(Spec):
    """How often the whole fleet held in simulations with fresh arrivals and, if asked for, with wrong rates."""

    asked: float = Field(gt=0, lt=1, description="probability that was asked for")
    rate_uncertainty: float = Field(
        ge=0, description="standard deviation of the factor by which an adapter's rate may be wrong"
    )
    seed: int = Field(description="seed of these runs, each of which has other arrivals and, if asked for, rates")
    fleet: Proportion = Field(description="runs in which every server held")

    @property
    def reached(self) -> bool:
        """Whether the fleet held in as large a share of the runs as was asked for."""
        return self.fleet.share >= self.asked
