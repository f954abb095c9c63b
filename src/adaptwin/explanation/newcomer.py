"""Typical adapters of a plan or a workload, for questions about additional ones."""

import math
from collections.abc import Iterable
from statistics import fmean, median, median_low

from adaptwin.plan.plan import Plan
from adaptwin.profile.profile import Profile
from adaptwin.twin.server import server_rank
from adaptwin.workload.lengths import MOST_VARIATION, Lengths
from adaptwin.workload.workload import Adapter, MeanRates, Workload


def typical_adapter(plan: Plan, rank: int | None, rate: float | None, lengths: Lengths | None) -> Adapter:
    """Make a new adapter; by default with the median rank, the median rate and the mean lengths of the plan's."""
    adapters = [adapter for adapter in plan.workload.adapters if adapter.rank] or list(plan.workload.adapters)
    taken, rates = {adapter.name for adapter in plan.workload.adapters}, MeanRates(plan.workload)
    return Adapter(
        name=next(name for name in _numbered_names("newcomer") if name not in taken),
        rank=(median_low(a.rank for a in adapters) if adapters else 8) if rank is None else rank,
        rate=(median(map(rates.of, adapters)) if adapters else 1.0) if rate is None else rate,
        lengths=lengths or typical_lengths(plan.workload, adapters),
        arrivals=None if isinstance(plan.workload.arrivals, str) else "poisson",
    )


def _numbered_names(stem: str) -> Iterable[str]:
    yield stem
    number = 1
    while True:
        number += 1
        yield f"{stem} {number}"


def mean_adapter(workload: Workload, profile: Profile) -> Adapter:
    """Make an adapter of mean rank, rate and lengths; base-model traffic counts only if there is no adapter.

    The mean rank is padded as the profile's version of vLLM does.
    """
    adapters = [adapter for adapter in workload.adapters if adapter.rank] or list(workload.adapters)
    mean = math.floor(fmean(adapter.rank for adapter in adapters))
    return Adapter(
        name="mean",
        rank=server_rank(mean, profile) if mean else 0,
        rate=fmean(map(MeanRates(workload).of, adapters)),
        lengths=typical_lengths(workload, adapters),
        arrivals=None if isinstance(workload.arrivals, str) else "poisson",
    )


def typical_lengths(workload: Workload, adapters: Iterable[Adapter]) -> Lengths:
    """Make lengths with the mean and the variance that the requests of these adapters have together.

    The coefficient of variation is at most that which `Lengths` takes.
    """
    mean_rates, rates = MeanRates(workload), dict[Lengths, float]()
    for adapter in adapters:
        lengths = workload.lengths_of(adapter)
        rates[lengths] = rates.get(lengths, 0.0) + mean_rates.of(adapter)
    total = sum(rates.values())
    if len(rates) < 2 or not total:
        return next(iter(rates), workload.lengths)
    tables = [(lengths.table(), rate / total) for lengths, rate in rates.items()]
    moments: dict[str, float] = {}
    for side in ("input", "output"):
        mean = sum(share * float(getattr(table, side).mean()) for table, share in tables)
        square = sum(share * float((getattr(table, side).astype(float) ** 2).mean()) for table, share in tables)
        moments[f"{side}_mean"], moments[f"{side}_cv"] = (
            mean,
            min(MOST_VARIATION, math.sqrt(max(0.0, square / mean**2 - 1.0))),
        )
    limits = sum(rate for lengths, rate in rates.items() if lengths.are_limits) > total / 2
    return Lengths.lognormal(**moments).model_copy(update={"are_limits": limits})
