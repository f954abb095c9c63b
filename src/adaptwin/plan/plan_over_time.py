"""PlanOverTime: a plan for rates that change over time, and the periods in which it was simulated."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Self

from adaptwin.plan.plan import Plan
from adaptwin.workload.rates_over_time import RatesOverTime


class PlanOverTime(NamedTuple):
    """A plan for the busiest period, and what the twin says of the other periods. Periods are in words."""

    plan: Plan  # not verified if it fails in some period
    periods: int
    period: float  # seconds
    planned_for: str  # the busiest period
    checked: bool  # whether the other periods were simulated
    raised: tuple[str, ...]  # periods in which an earlier plan failed, whose rates this one was made for, too
    failing: tuple[str, ...]  # periods in which this plan fails
    rounds: int  # plans that were made

    @classmethod
    def of(cls, plan: Plan, rates: RatesOverTime, busiest: int, failing: Sequence[Collection[int]]) -> Self:
        """Return the last of several plans, given the periods in which each of them fails."""
        earlier = sorted({place for places in failing[:-1] for place in places})
        still = sorted(failing[-1])
        found = cls(
            plan,
            len(rates),
            rates.period,
            rates.span_of(busiest),
            plan.promises,
            tuple(map(rates.span_of, earlier)),
            tuple(map(rates.span_of, still)),
            len(failing),
        )
        fails = {"verified": False, "verified_seeds": ()} if still else {}
        update = {"assumptions": (*plan.assumptions, found.assumption), **fails}
        return found._replace(plan=plan.model_copy(update=update))

    @property
    def assumption(self) -> str:
        """What the figures of the plan assume of the time, as a clause."""
        also = f", and for adapters that have more then, of {', '.join(self.raised)}" if self.raised else ""
        return f"rates of {self.planned_for}, the busiest of {self.periods:,} periods{also}"
