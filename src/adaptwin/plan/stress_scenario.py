"""StressScenario: traffic that differs from a plan's in one way."""

import math
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from adaptwin.arrays import Array
from adaptwin.spec import Line, Spec
from adaptwin.workload.arrivals import parse_arrivals, split_rates
from adaptwin.workload.drawing.seeds import stream_seed
from adaptwin.workload.workload import Workload


def _known_process(value: str) -> str:
    if value:
        parse_arrivals(value)
    return value


class StressScenario(Spec):
    """Traffic that differs from a plan's: more of it, wrong rates, or other arrivals."""

    traffic: Line = Field(description="what differs, in words")
    factor: float = Field(default=1.0, ge=0, le=100, description="factor on the traffic of every adapter")
    rate_error: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="standard deviation of the factor by which an adapter's rate is wrong; factors are lognormal with "
        "mean 1",
    )
    arrivals: Annotated[str, AfterValidator(_known_process)] = Field(
        default="",
        description="arrival process of the adapters that have no arrivals of their own; empty: that of the workload",
    )

    def changed(self, workload: Workload, seed: int) -> Workload:
        """Return the workload with the traffic of this scenario; wrong rates are drawn with the seed.

        Timestamps are dealt to the adapters with the seed, and left out or added to for other rates.
        """
        dealt = workload.dealt(seed)
        factors = self.factor * self._errors(len(dealt), seed)
        adapters = tuple(a.scaled(factor) for a, factor in zip(dealt.adapters, factors.tolist(), strict=True))
        return dealt.model_copy(update={"adapters": adapters, "arrivals": self._arrivals(dealt)})

    def unaffected(self, workload: Workload) -> int:
        """Return the number of adapters that keep their arrivals although the scenario has others."""
        if not self.arrivals:
            return 0
        if not isinstance(workload.arrivals, str) or self._arrivals(workload) == workload.arrivals:
            return len(workload)
        return sum(adapter.arrivals is not None for adapter in workload.adapters)

    def _errors(self, adapters: int, seed: int) -> Array:
        """Draw a factor for each adapter: lognormal with mean 1 and standard deviation `rate_error`."""
        if not self.rate_error:
            return np.ones(adapters)
        variance = math.log1p(self.rate_error**2)
        generator = np.random.default_rng(stream_seed(seed, "wrong rates"))
        return generator.lognormal(-variance / 2.0, math.sqrt(variance), adapters)

    def _arrivals(self, workload: Workload) -> str | tuple[float, ...]:
        """Return the arrivals of the workload under this scenario; a file of rates keeps its pattern."""
        now = workload.arrivals
        if not self.arrivals or not isinstance(now, str):
            return now
        if not now.startswith("rates:"):
            return self.arrivals
        family, _, option = self.arrivals.partition(":")
        return f"rates:{option},{split_rates(now)[1]}" if family == "gamma" else now


WRONG_RATES = StressScenario(traffic="each rate wrong by 20 %", rate_error=0.2)
STRESS_SCENARIOS = (
    StressScenario(traffic="as planned"),
    StressScenario(traffic="all traffic x1.03", factor=1.03),
    StressScenario(traffic="all traffic x1.1", factor=1.1),
    StressScenario(traffic="all traffic x1.25", factor=1.25),
    WRONG_RATES,
    StressScenario(traffic="bursts, gamma:cv=2", arrivals="gamma:cv=2"),
    StressScenario(traffic="regimes, factor 1.5", arrivals="regimes:period=300,factor=1.5"),
)
