"""A workload from metered traffic: the adapters with the rates of the busiest window and their mean lengths."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.errors import SpecError
from adaptwin.live.metering.metered_traffic import MeteredTraffic
from adaptwin.plan.plan import Plan
from adaptwin.workload.demand.mean_lengths import mean_lengths
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.rates_over_time import DAY, RatesOverTime
from adaptwin.workload.sources.logged_adapters import AdapterRanks
from adaptwin.workload.workload import Adapter, Workload

ASSUMED_CV = 1.0  # of lengths, of which counters tell the mean only


class MeteredWorkload(NamedTuple):
    """A workload, and what is worth knowing of it."""

    workload: Workload
    said: tuple[str, ...]  # assumptions, a sentence each
    rates: RatesOverTime  # of the adapters, in every window


def metered_workload(traffic: MeteredTraffic, ranks: AdapterRanks, *, seed: int = 0) -> MeteredWorkload:
    """Return the workload of the busiest window of a meter that knows adapters.

    An adapter without a request in that window has its mean rate over all windows, which may be 0. Names whose rank is
    not known are left out, and said.

    Raises:
        SpecError: No name of the meter has a rank.
    """
    rates, means = traffic.rates(traffic.busiest), traffic.rates(None)
    prompts, answers = traffic.mean_tokens()
    adapters: list[Adapter] = []
    unknown: list[str] = []
    for name, rate, mean, prompt, answer in zip(traffic.names, rates, means, prompts, answers, strict=True):
        adapter = ranks.adapter(name)
        if adapter is None:
            unknown.append(name)
            continue
        lengths = _lognormal_of_means(prompt, answer) if np.isfinite(prompt) and np.isfinite(answer) else None
        adapters.append(adapter.model_copy(update={"rate": float(rate or mean), "lengths": lengths}))
    if not adapters:
        raise SpecError(f"none of the {len(unknown)} models has a rank, such as {unknown[0]!r}", "ranks_from")
    workload = Workload(adapters=tuple(adapters), duration=traffic.window, seed=seed)
    listed = {name: index for index, name in enumerate(traffic.names)}
    rows = [listed[adapter.name] for adapter in adapters]
    rates_over_time = _over_time(traffic, [adapter.name for adapter in adapters], traffic.requests[rows])
    return MeteredWorkload(workload, tuple(_said_of_metered(traffic, adapters, unknown)), rates_over_time)


def _over_time(traffic: MeteredTraffic, names: Sequence[str], requests: NDArray[np.float64]) -> RatesOverTime:
    """Return the rates of adapters in every window, given their requests; the windows' times are those in UTC."""
    start = float(round(traffic.ends[0] - traffic.window) % DAY)
    return RatesOverTime(tuple(names), requests / traffic.window, traffic.window, start=start)


def _lognormal_of_means(prompt: float, answer: float) -> Lengths:
    return Lengths.lognormal(
        input_mean=float(max(1.0, prompt)),
        input_cv=ASSUMED_CV,
        output_mean=float(max(1.0, answer)),
        output_cv=ASSUMED_CV,
    )


def _said_of_metered(traffic: MeteredTraffic, adapters: Sequence[Adapter], unknown: Sequence[str]) -> Iterator[str]:
    yield (
        f"Counters of {traffic.meter.title} tell mean lengths only: their coefficient of variation is assumed to be "
        f"{ASSUMED_CV:g}, and arrivals Poisson."
    )
    if without := [adapter.name for adapter in adapters if adapter.lengths is None]:
        yield f"No tokens are counted for {len(without)} models, such as {without[0]!r}: their lengths are assumed."
    yield from _said_of_time(traffic)
    if idle := [adapter.name for adapter in adapters if not adapter.rate]:
        yield f"No request in this time, and so no rate: {len(idle)} models, such as {idle[0]!r}."
    if unknown:
        yield f"{len(unknown)} models without a rank are left out, such as {unknown[0]!r}."


def _said_of_time(traffic: MeteredTraffic) -> Iterator[str]:
    """Say of which time the rates are, and how much of it is quiet: nobody asked, or nobody scraped."""
    if traffic.is_of_page:
        yield (
            f"The rates are those of {traffic.window:.0f} s, read at {traffic.meter.title} itself: a longer --over, or "
            "Prometheus, tells more."
        )
    elif quiet := int((traffic.requests.sum(axis=0) == 0).sum()):
        yield f"{quiet} of {len(traffic.ends)} windows have no request: none came, or nothing was scraped."


def scaled_workload(traffic: MeteredTraffic, plan: Plan, *, seed: int | None = None) -> MeteredWorkload:
    """Return the workload of a plan with all rates scaled to the busiest window, where no meter knows adapters.

    Raises:
        SpecError: The plan has no traffic.
    """
    planned, means = plan.workload.rate, mean_lengths(plan.workload)
    if planned <= 0:
        raise SpecError("the plan has no traffic whose shares could be scaled", "plan")
    measured = float(traffic.requests[:, traffic.busiest].sum() / traffic.window)
    factor = measured / planned
    adapters = tuple(adapter.model_copy(update={"rate": adapter.rate * factor}) for adapter in plan.workload.adapters)
    update = {"adapters": adapters, "duration": traffic.window, "seed": plan.workload.seed if seed is None else seed}
    title = traffic.meter.title
    scaled = f"all rates are scaled by {factor:.3g}, to {measured:,.2f} requests/s."
    said = [f"{title}'s counters name no adapters: the plan's shares are kept, and {scaled}"]
    said += [
        f"{what} have {tokens.sum() / traffic.requests.sum():,.0f} tokens on average, and {mean:,.0f} in the plan, "
        "whose lengths are kept."
        if tokens.any()
        else f"{what} are not counted in tokens: the plan's lengths are kept."
        for what, tokens, mean in (
            ("Prompts", traffic.prompt_tokens, means.prompt),
            ("Answers", traffic.answer_tokens, means.answer),
        )
    ]
    said += _said_of_time(traffic)
    shares = np.array([adapter.rate for adapter in plan.workload.adapters]) / planned
    requests = np.outer(shares, traffic.requests.sum(axis=0))
    rates = _over_time(traffic, [adapter.name for adapter in plan.workload.adapters], requests)
    return MeteredWorkload(plan.workload.model_copy(update=update), tuple(said), rates)
