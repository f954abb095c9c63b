"""Savings: which changes would save a GPU. Each is planned anew in outline, as predictors see it.

The outline is `fill` without the twin's word on the servers it fills, so its counts are estimates, to be planned to be
sure. They are compared with the same outline of the plan as it is. Where the predictors do not know the traffic the
twin answers, as long as its budget lasts.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from adaptwin.errors import AdaptwinError, Infeasible
from adaptwin.placement.capacity import Answer, Capacity
from adaptwin.placement.foresight import Foresight
from adaptwin.placement.newcomers import template_of
from adaptwin.placement.plan import Forecast, Plan
from adaptwin.placement.problem import Problem
from adaptwin.placement.strategies.fill import fill
from adaptwin.placement.strategies.items import items_of
from adaptwin.placement.strategies.orders import dealt, orders
from adaptwin.profile.profile import Profile
from adaptwin.progress import Progress, silent
from adaptwin.spec import Spec
from adaptwin.surrogate.surrogate import Surrogate, surrogate_for
from adaptwin.twin.server import Server
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.workload import SERVED_RANKS, Workload

TWIN_RUNS = 1500  # for all outlines together
LESS_TRAFFIC = (0.05, 0.1, 0.2)
HOTTEST = (1, 3, 10)
SEATS = (512, 1024)
MEMORY = 0.95
WHOLE_BLOCKS = 256  # tokens to which a shorter max_model_len is rounded up
MANY = 1000  # adapters from which on a single order is tried
SURELY_BETTER = 0.95  # times the plan's GPUs: where an outline has fewer, a new plan is worth more than any change
CLOSE = 0.03  # of a GPU's traffic that would have to go


class Saving(Spec):
    """A change, and how many GPUs a new plan would likely have."""

    change: str
    gpus: int


class Emptiest(Spec):
    """The GPU with the most headroom."""

    server: str
    request_rate: float
    too_much: float | None = Field(description="share of its traffic that must go for it to be given up, if known")


class Savings(Spec):
    """What would save a GPU. All counts are estimates."""

    as_it_is: int | None = Field(description="GPUs that a new plan of the same would likely have, if known")
    tried: tuple[str, ...] = Field(description="changes, those that save nothing included")
    unknown: tuple[str, ...] = Field(description="changes of which nothing can be said without a plan")
    saving: tuple[Saving, ...]
    emptiest: Emptiest | None


class Wish(NamedTuple):
    """What the servers of one profile are to serve, with which settings and how much headroom."""

    profile: Profile
    workload: Workload
    template: Server
    headroom: float
    gpus: int  # that the plan has for it


class Change(NamedTuple):
    """What is changed, in words and in deed."""

    what: str
    apply: Callable[[Wish], Wish]


def savings(
    plan: Plan,
    forecasts: Mapping[str, Forecast],
    surrogate: Surrogate | Literal["shipped"] | None = "shipped",
    progress: Progress = silent,
) -> Savings:
    """Changes that would likely save a GPU, and what stands in the way of giving up the emptiest.

    Args:
        plan: The plan.
        forecasts: By server.
        surrogate: As for `make_plan`.
        progress: Told what is being done, and how much of it.
    """
    wishes, outline = _wishes(plan), _Outline(surrogate)
    now = outline.gpus(wishes)
    ladders = list(_ladders(plan, forecasts))
    saving: list[Saving] = []
    unknown: list[str] = []
    for number, ladder in enumerate(ladders):
        progress("looking for savings", number, len(ladders) + 1)
        best = plan.gpus
        for change in ladder:
            then = None if now is None else outline.gpus([change.apply(wish) for wish in wishes])
            if now is None or then is None:
                unknown.append(change.what)
                continue
            gpus = plan.gpus - (min(now, plan.gpus) - then)
            if gpus < best:
                best = gpus
                saving.append(Saving(change=change.what, gpus=gpus))
    progress("looking for savings", len(ladders), len(ladders) + 1)
    emptiest = _emptiest(plan, forecasts, wishes, outline, now)
    progress("looking for savings", len(ladders) + 1, len(ladders) + 1)
    tried = [change.what for ladder in ladders for change in ladder if change.what not in unknown]
    return Savings(as_it_is=now, tried=tuple(tried), unknown=tuple(unknown), saving=tuple(saving), emptiest=emptiest)


def _wishes(plan: Plan) -> list[Wish]:
    """The plan, profile by profile."""
    wishes = []
    for profile in plan.profiles:
        servers = [server for server in plan.servers if server.profile == profile.name]
        shares: dict[str, float] = {}
        for server in servers:
            for name, share in server.adapters.items():
                shares[name] = shares.get(name, 0.0) + share
        if servers:
            workload, template = plan.workload.part(shares, plan.seed), template_of(servers[0].server)
            headroom = (1.0 + plan.headroom) * (1.0 + plan.margin) - 1.0
            wishes.append(Wish(profile, workload, template, headroom, len(servers)))
    return wishes


class _Outline:
    """Counts GPUs by filling them, on a budget of twin runs. Owns the budget."""

    def __init__(self, surrogate: Surrogate | Literal["shipped"] | None) -> None:
        self._surrogate, self._left = surrogate, TWIN_RUNS

    def gpus(self, wishes: Sequence[Wish]) -> int | None:
        """How many GPUs these wishes likely need together; None where that is not known, or impossible."""
        counts = [self._of_one(wish) for wish in wishes]
        return None if None in counts else sum(count for count in counts if count)

    def _of_one(self, wish: Wish) -> int | None:
        if not wish.workload.adapters:
            return 0
        capacity = _Frugal(wish, self._foresight(wish), self._left)
        problem = Problem(capacity, 1, silent, math.inf)
        try:
            ways = orders(items_of(problem))
            if len(wish.workload) > MANY:
                ways = ways[:1]
            else:
                ways.append(dealt(ways[0], max(1, wish.gpus - 1)))
            return min(len(hands) for way in ways if (hands := fill(problem, way)))
        except (Infeasible, _SpentError):
            return None
        finally:
            self._left -= capacity.asked

    def _foresight(self, wish: Wish) -> Foresight | None:
        asked = self._surrogate
        if asked is None:
            return None
        predictors = surrogate_for(wish.profile) if asked == "shipped" else asked.on(wish.profile)
        return Foresight(predictors, wish.workload, wish.template)


class _SpentError(AdaptwinError):
    """The budget of twin runs is spent."""


class _Frugal(Capacity):
    """A capacity with a budget of twin runs; raises `_SpentError` when it is spent."""

    def __init__(self, wish: Wish, foresight: Foresight | None, budget: int) -> None:
        super().__init__(wish.profile, wish.workload, wish.template, wish.headroom, foresight)
        self._budget = budget

    def ask(self, shares: Mapping[str, float], max_loras: int, factor: float = 1.0) -> Answer:
        """What the twin says."""
        if self.asked >= self._budget:
            raise _SpentError
        return super().ask(shares, max_loras, factor)


def _ladders(plan: Plan, forecasts: Mapping[str, Forecast]) -> Iterator[list[Change]]:
    """Changes worth trying, those of a kind together, from the smallest to the largest."""
    yield from _of_settings(plan, forecasts)
    yield from _of_promises(plan)
    yield [_less_traffic(share) for share in LESS_TRAFFIC]
    hottest = sorted(plan.workload.adapters, key=plan.workload.tokens_per_second, reverse=True)
    names = [adapter.name for adapter in hottest]
    yield [_without(names[:many]) for many in HOTTEST if many < len(names)]
    yield from _of_ranks(plan)


def _of_settings(plan: Plan, forecasts: Mapping[str, Forecast]) -> Iterator[list[Change]]:
    seats = {server.name: server.server.budgets(plan.profile_of(server))[1] for server in plan.servers}
    full = [most for name, most in seats.items() if forecasts[name].fills_batch(most)]
    if full:
        least = min(full)
        yield [
            _setting(f"max_num_seqs {more:,} instead of {least:,}", max_num_seqs=more) for more in SEATS if more > least
        ]
    memory = min(server.server.gpu_memory_utilization for server in plan.servers)
    if memory < MEMORY:
        yield [_setting(f"gpu_memory_utilization {MEMORY} instead of {memory:g}", gpu_memory_utilization=MEMORY)]
    longest = _longest_request(plan.workload)
    allowed = max(s.server.max_model_len or plan.profile_of(s).model.max_model_len for s in plan.servers)
    if longest < allowed:
        what = f"max_model_len {longest:,} instead of {allowed:,}: no request is longer"
        yield [_setting(what, max_model_len=longest)]


def _of_promises(plan: Plan) -> Iterator[list[Change]]:
    if plan.headroom:
        what = f"without the headroom of {100 * plan.headroom:g} % that was asked for"
        yield [Change(what, lambda wish: wish._replace(headroom=plan.margin))]
    if plan.margin:
        what = f"without the safety margin of {100 * plan.margin:.2g} %"
        yield [Change(what, lambda wish: wish._replace(headroom=plan.headroom))]


def _of_ranks(plan: Plan) -> Iterator[list[Change]]:
    ranks = sorted({adapter.rank for adapter in plan.workload.adapters if adapter.rank})
    if not ranks or ranks[-1] <= SERVED_RANKS[1]:
        return
    top = ranks[-1]
    lower = ranks[-2] if len(ranks) > 1 else SERVED_RANKS[SERVED_RANKS.index(top) - 1]
    many = sum(adapter.rank == top for adapter in plan.workload.adapters)
    them = f"the {many} adapters" if many > 1 else "the one adapter"
    yield [Change(f"{them} of rank {top} trained anew at rank {lower}", lambda wish: _retrained(wish, top, lower))]


def _setting(what: str, **update: float) -> Change:
    return Change(what, lambda wish: wish._replace(template=wish.template.model_copy(update=update)))


def _less_traffic(share: float) -> Change:
    return Change(
        f"{100 * share:g} % less traffic", lambda wish: wish._replace(workload=wish.workload.scaled(1.0 - share))
    )


def _without(names: Sequence[str]) -> Change:
    what = (
        f"without the hottest adapter, {names[0]}" if len(names) == 1 else f"without the {len(names)} hottest adapters"
    )
    return Change(what, lambda wish: _scaled(wish, dict.fromkeys(names, 0.0)))


def _scaled(wish: Wish, factors: Mapping[str, float]) -> Wish:
    """Some adapters with so many times their traffic; those that have none left are gone."""
    kept = ((adapter, factors.get(adapter.name, 1.0)) for adapter in wish.workload.adapters)
    adapters = tuple(adapter.scaled(factor) for adapter, factor in kept if factor > 0)
    return wish._replace(workload=wish.workload.model_copy(update={"adapters": adapters}))


def _retrained(wish: Wish, rank: int, lower: int) -> Wish:
    adapters = tuple(
        adapter.model_copy(update={"rank": lower}) if adapter.rank == rank else adapter
        for adapter in wish.workload.adapters
    )
    return wish._replace(workload=wish.workload.model_copy(update={"adapters": adapters}))


def _longest_request(workload: Workload) -> int:
    """Tokens of the longest request there can be, in whole blocks."""
    lengths = {workload.lengths_of(adapter) for adapter in workload.adapters}
    return max(map(_longest_of, lengths), default=1)


def _longest_of(lengths: Lengths) -> int:
    table = lengths.table()
    longest = (
        int((table.input + table.output).max()) if table.joint else int(table.input.max()) + int(table.output.max())
    )
    return WHOLE_BLOCKS * math.ceil(longest / WHOLE_BLOCKS)


def _emptiest(
    plan: Plan, forecasts: Mapping[str, Forecast], wishes: Iterable[Wish], outline: _Outline, now: int | None
) -> Emptiest | None:
    """The GPU with the most headroom, and how much of its traffic would have to go for a plan without it."""
    if len(plan.servers) < 2:
        return None
    emptiest = max(plan.servers, key=lambda s: (forecasts[s.name].headroom, -forecasts[s.name].offered_throughput))

    def suffices(without: float) -> bool:
        factors = {name: 1.0 - without * share for name, share in emptiest.adapters.items()}
        needed = outline.gpus([_scaled(wish, factors) for wish in wishes])
        return needed is not None and now is not None and needed < min(now, plan.gpus)

    comparable = now is not None and now >= SURELY_BETTER * plan.gpus
    return Emptiest(
        server=emptiest.name,
        request_rate=forecasts[emptiest.name].request_rate,
        too_much=_least(suffices) if comparable else None,
    )


def _least(suffices: Callable[[float], bool]) -> float | None:
    """The least share, to within `CLOSE`, that suffices; None where not even all of it does."""
    if not suffices(1.0):
        return None
    bad, good = 0.0, 1.0
    while good - bad > CLOSE:
        middle = (bad + good) / 2
        if suffices(middle):
            good = middle
        else:
            bad = middle
    return round(good, 2)
