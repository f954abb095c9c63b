"""Stress: how often a plan holds when its traffic differs from what it was made for."""

import math
from typing import Self

from pydantic import Field, model_validator

from adaptwin.lazy import function_from
from adaptwin.spec import Line, Name, Spec

STRESS_RUNS = 20  # of the whole fleet, for each kind of traffic
_TWO_SIDED_95 = 1.959964  # standard deviations to either side that cover 95 % of a normal distribution


class Proportion(Spec):
    """A number of successes among trials, with the 95 % interval of Wilson for the probability of success."""

    held: int = Field(ge=0, description="trials that held")
    trials: int = Field(ge=1, description="trials")
    low: float = Field(description="lower end of the 95 % interval for the probability that one holds")
    high: float = Field(description="upper end of this interval")

    @classmethod
    def of(cls, held: int, trials: int) -> Self:
        """Return the proportion with its interval (Wilson, JASA 22, 1927), which is never wider than from 0 to 1."""
        share, weight = held / trials, _TWO_SIDED_95**2 / trials
        middle = (share + weight / 2.0) / (1.0 + weight)
        half = math.sqrt(weight * (share * (1.0 - share) + weight / 4.0)) / (1.0 + weight)
        low = 0.0 if held == 0 else round(middle - half, 4)
        high = 1.0 if held == trials else round(middle + half, 4)
        return cls(held=held, trials=trials, low=low, high=high)

    @property
    def share(self) -> float:
        """Share of the trials that held."""
        return self.held / self.trials


class StressResult(Spec):
    """Runs of a plan under one kind of traffic, each with other arrivals."""

    traffic: Line = Field(description="what differs from the traffic of the plan")
    fleet: Proportion = Field(description="runs in which every simulated server held")
    servers: Proportion = Field(description="runs of a single server that held, over all simulated servers")
    failed: dict[Name, int] = Field(
        default_factory=dict, description="runs that failed, by server, without the servers that always held"
    )
    unaffected: int = Field(
        default=0,
        ge=0,
        description="adapters that have arrivals of their own, such as timestamps, and keep them under other arrivals",
    )


class Stress(Spec):
    """How often a plan holds under several kinds of traffic.

    A server holds in a run if the server and its adapters are ok and the limits on latency are kept.
    """

    _facts = function_from("adaptwin.report.notebook.stress_view", "stress_facts")
    _repr_html_ = function_from("adaptwin.report.notebook.stress_view", "stress_html")

    seed: int = Field(description="seed of all random draws; each run has other arrivals")
    servers: tuple[Name, ...] = Field(description="servers that were simulated, by name")
    results: tuple[StressResult, ...] = Field(description="results, one for each kind of traffic")
    left_out: tuple[Line, ...] = Field(
        default=(), description="kinds of traffic that were left out because every adapter keeps its arrivals"
    )
    is_sample: bool = Field(
        default=False,
        description="whether only a few runs of the fullest servers were simulated, under one kind of traffic",
    )

    @model_validator(mode="after")
    def _sample_has_one_result(self) -> Self:
        if self.is_sample and len(self.results) != 1:
            raise ValueError(f"results: a sample has one kind of traffic, not {len(self.results)}")
        return self
