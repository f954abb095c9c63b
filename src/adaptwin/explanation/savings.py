"""Savings: which changes would save a GPU, by estimate.

For each change, `fill` places the adapters on servers, and nothing simulates these servers: the number of their GPUs is
an outline of a plan. It is compared with the outline of the plan as it is. Only a new plan can confirm a saving. Where
the surrogate does not know the traffic, the twin answers in its place, within a budget of runs.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Literal

from adaptwin.errors import AdaptwinError, Infeasible
from adaptwin.explanation.changes import Change, Variant, ladders_of, scaled, variants_of
from adaptwin.explanation.explanation import Emptiest, Saving, Savings
from adaptwin.placement.capacity.answer import Answer
from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.largest import largest_within
from adaptwin.placement.capacity.surrogate_choice import workload_surrogate_for
from adaptwin.placement.capacity.workload_surrogate import WorkloadSurrogate
from adaptwin.placement.caution import OUTLINE_FACTOR
from adaptwin.placement.packing.fill import fill
from adaptwin.placement.packing.items import items_of
from adaptwin.placement.packing.orders import dealt, orders
from adaptwin.placement.packing.problem import Problem
from adaptwin.plan.forecast import Forecast
from adaptwin.plan.plan import Plan
from adaptwin.progress import Progress, silent
from adaptwin.surrogate.surrogate import Surrogate

MOST_TWIN_RUNS = 1500  # budget for all outlines together
MANY_ADAPTERS = 1000  # with more adapters, an outline tries a single order
BETTER_PLAN_SHARE = 0.95  # of the plan's GPUs: an outline with fewer says that a new plan alone would save GPUs
SHARE_PRECISION = 0.03  # of the share of a GPU's traffic that would have to go


def savings(
    plan: Plan,
    forecasts: Mapping[str, Forecast],
    surrogate: Surrogate | Literal["shipped"] | None = "shipped",
    progress: Progress = silent,
) -> Savings:
    """Estimate which changes would save a GPU, and how much traffic keeps the emptiest GPU from being given up.

    Args:
        plan: The plan.
        forecasts: The forecast of every server, by its name.
        surrogate: The surrogate that predicts whether a server can serve its adapters, as for `make_plan`.
        progress: Called with the current stage, the work done and the total work.
    """
    variants, outline = variants_of(plan, surrogate), _Outline(surrogate)
    now = outline.gpus(variants)
    ladders = list(ladders_of(plan, forecasts))
    needed: dict[str, int | None] = {}
    saving: list[Saving] = []
    for number, ladder in enumerate(ladders):
        progress("looking for savings", number, len(ladders) + 1)
        counts = [outline.gpus([change.apply(variant) for variant in variants]) for change in ladder] if now else []
        needed |= {change.what: gpus for change, gpus in zip_longest(ladder, counts)}
        saving += _worth_it(plan, now, ladder, counts) if now else []
    progress("looking for savings", len(ladders), len(ladders) + 1)
    emptiest = _emptiest(plan, forecasts, variants, outline, now)
    progress("looking for savings", len(ladders) + 1, len(ladders) + 1)
    return Savings(
        as_it_is=now,
        tried=tuple(what for what, gpus in needed.items() if gpus is not None),
        unknown=tuple(what for what, gpus in needed.items() if gpus is None),
        saving=tuple(saving),
        emptiest=emptiest,
    )


def _worth_it(plan: Plan, now: int, ladder: Sequence[Change], counts: Sequence[int | None]) -> Iterator[Saving]:
    """Yield the changes of one kind that save a GPU, and save more than the smaller changes before them.

    A change saves as many GPUs as its outline needs fewer than the outline without it. They are subtracted from the
    plan's number of GPUs, or, where the outline of the plan as it is needs far fewer, from the number of this outline.
    """
    best = base = plan.gpus if _is_comparable(plan, now) else now
    for change, then in zip(ladder, counts, strict=True):
        if then is not None and (gpus := base - (min(now, base) - then)) < best:
            best = gpus
            yield Saving(change=change.what, gpus=gpus)


def _is_comparable(plan: Plan, now: int) -> bool:
    """Whether the outline of the plan as it is needs about as many GPUs as the plan has."""
    return now >= BETTER_PLAN_SHARE * plan.gpus


class _Outline:
    """Outlines: numbers of GPUs, estimated by filling servers. Owns the budget of twin runs."""

    def __init__(self, surrogate: Surrogate | Literal["shipped"] | None) -> None:
        self._surrogate, self._left = surrogate, MOST_TWIN_RUNS

    def gpus(self, variants: Sequence[Variant]) -> int | None:
        """Estimate how many GPUs these variants need together; None where that is impossible or the budget is spent."""
        counts = [self._servers(variant) for variant in variants]
        sizes = [variant.profile.tensor_parallel_size for variant in variants]
        return None if None in counts else sum(size * many for size, many in zip(sizes, counts, strict=True) if many)

    def _servers(self, variant: Variant) -> int | None:
        if not variant.workload.adapters:
            return 0
        known = workload_surrogate_for(self._surrogate, variant.profile, variant.workload, variant.template)
        capacity = _Frugal(variant, known, self._left)
        problem = Problem(capacity, 1, silent, math.inf)
        try:
            ways = orders(items_of(problem))
            if len(variant.workload) > MANY_ADAPTERS:
                ways = ways[:1]
            else:
                ways.append(dealt(ways[0], max(1, variant.servers - 1)))
            return min(len(bins) for way in ways if (bins := fill(problem, way)))
        except (Infeasible, _SpentError):
            return None
        finally:
            self._left -= capacity.twin_runs


class _SpentError(AdaptwinError):
    """The budget of twin runs is spent."""


class _Frugal(Capacity):
    """A capacity with a budget of twin runs; raises `_SpentError` when it is spent."""

    def __init__(self, variant: Variant, surrogate: WorkloadSurrogate | None, budget: int) -> None:
        super().__init__(
            variant.profile,
            variant.workload,
            variant.template,
            variant.factor * OUTLINE_FACTOR,
            surrogate,
            variant.latency_limits,
        )
        self._budget = budget

    def ask(self, shares: Mapping[str, float], max_loras: int, factor: float = 1.0) -> Answer:
        """Run the twin, as `Capacity.ask` does, as long as the budget lasts."""
        if self.twin_runs >= self._budget:
            raise _SpentError
        return super().ask(shares, max_loras, factor)


def _emptiest(
    plan: Plan, forecasts: Mapping[str, Forecast], variants: Sequence[Variant], outline: _Outline, now: int | None
) -> Emptiest | None:
    """Find the server with the most headroom, and how much of its traffic must go so that it can be given up."""
    if len(plan.servers) < 2:
        return None
    emptiest = max(plan.servers, key=lambda s: (forecasts[s.name].headroom, -forecasts[s.name].offered_throughput))

    def suffices(without: float) -> bool:
        factors = {name: 1.0 - without * share for name, share in emptiest.adapters.items()}
        needed = outline.gpus([scaled(variant, factors) for variant in variants])
        return needed is not None and now is not None and needed < min(now, plan.gpus)

    comparable = now is not None and _is_comparable(plan, now)
    return Emptiest(
        server=emptiest.name,
        request_rate=forecasts[emptiest.name].request_rate,
        too_much=_least(suffices) if comparable else None,
    )


def _least(suffices: Callable[[float], bool]) -> float | None:
    """Return the least share that suffices, to within `SHARE_PRECISION`; None where not even all of it does."""
    if not suffices(1.0):
        return None
    return round(largest_within(0.0, 1.0, SHARE_PRECISION, lambda share: not suffices(share)).high, 2)
