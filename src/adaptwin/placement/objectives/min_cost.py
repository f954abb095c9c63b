"""min-cost: the mix of GPUs with the lowest price per hour that serves everybody."""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from adaptwin.errors import Infeasible, SpecError
from adaptwin.placement.bound import price_of
from adaptwin.placement.objectives.kinds import Kind, kinds_of
from adaptwin.placement.objectives.min_gpus import best_alone
from adaptwin.placement.objectives.mixes import TIGHT, Mix, mixes
from adaptwin.placement.objectives.mixes import price as price_of_mix
from adaptwin.placement.objectives.objective import Goal, Placed, placed
from adaptwin.placement.problem import Problem
from adaptwin.placement.strategies.items import Hand, hand_of, items_of, shares_of
from adaptwin.placement.strategies.levelling import levelled
from adaptwin.placement.strategies.orders import dealt, orders
from adaptwin.placement.strategies.pack import WORTH_TRYING, assigned, pack, packed
from adaptwin.placement.strategies.squeeze import mend

TRIED = 6  # mixes that the twin is asked about
FEW = 12  # servers of a kind up to which they are packed with all that `pack` can do


class Manned(NamedTuple):
    """A server that the twin approves of."""

    problem: Problem
    hand: Hand

    @property
    def price(self) -> float:
        """Per hour."""
        return price_of(self.problem.capacity.profile)


def min_cost(problems: Sequence[Problem], goal: Goal) -> list[Placed]:
    """The cheapest of what the strategy makes of each profile alone and, with `pack`, of mixes of them.

    Raises:
        SpecError: A profile has no price, or adapters of one do not fit another.
        Infeasible: No profile serves some adapter, or no mix was found that serves everybody.
    """
    for problem in problems:
        price_of(problem.capacity.profile)
    _require_one_model(problems)
    if goal.strategy is not pack or len(problems) == 1:
        return best_alone(problems, goal, cost)
    found = _cheapest_mix(problems)
    return [
        server
        for problem in problems
        if (hands := [manned.hand for manned in found if manned.problem is problem])
        for server in placed(problem, assigned(problem, hands))
    ]


def cost(servers: Sequence[Placed]) -> float:
    """Price per hour."""
    return sum(price_of(server.problem.capacity.profile) for server in servers)


def _require_one_model(problems: Sequence[Problem]) -> None:
    first, *others = [problem.capacity.profile for problem in problems]
    for profile in others:
        for name in ("hidden", "layers", "heads", "kv_heads", "head_dim", "intermediate"):
            if getattr(profile.model, name) != getattr(first.model, name):
                raise SpecError(f"adapters of {first.name} do not fit the model of {profile.name}", "profile")


def _cheapest_mix(problems: Sequence[Problem]) -> list[Manned]:
    """Servers that the twin approves of: the first of the likely mixes, from the cheapest on, or one kind alone."""
    kinds = kinds_of(problems)
    likely = _distinct(kinds, mixes(kinds))
    found: list[list[Manned]] = []
    for mix in likely[:TRIED]:
        if found and (problems[0].out_of_time or _least_price(found) <= price_of_mix(mix)):
            break
        if approved := _approved(kinds, mix):
            found.append(approved)
    for kind in kinds:
        if not found or (not problems[0].out_of_time and _within_reach(kind, likely) < _least_price(found)):
            found += _alone(kind)
    if not found and not likely:
        names = ", ".join(problem.capacity.profile.name for problem in problems)
        raise Infeasible(f"no mix of {names} was found that serves everybody")
    if not found:
        found.append(_opened(kinds, likely[0]))
    return min(found, key=lambda servers: (_price(servers), len(servers)))


def _distinct(kinds: Sequence[Kind], found: list[Mix]) -> list[Mix]:
    """The cheapest first; one for each number of servers of each kind."""
    by_numbers = {tuple(sum(rented.kind is kind for rented in mix) for kind in kinds): mix for mix in reversed(found)}
    return sorted(by_numbers.values(), key=lambda mix: (price_of_mix(mix), len(mix)))


def _within_reach(kind: Kind, likely: list[Mix]) -> float:
    """What one kind alone costs at the least, by the bound, and by the numbers with a few servers given up."""
    if None in kind.items:
        return math.inf
    servers = [len(mix) for mix in likely if all(rented.kind is kind for rented in mix)]
    return kind.price * max(kind.problem.lower_bound, math.ceil(WORTH_TRYING * min(servers, default=0)))


def _alone(kind: Kind) -> list[list[Manned]]:
    """What `pack` makes of one kind alone, if that serves everybody."""
    try:
        hands = packed(kind.problem, partial(items_of, kind.problem))
    except Infeasible:
        return []
    return [[Manned(kind.problem, hand) for hand in hands]]


def _approved(kinds: Sequence[Kind], mix: Mix) -> list[Manned] | None:
    """A mix with each kind's part levelled and mended, as the twin allows; None where it does not.

    The largest part comes first, because it is the one that may be refused.
    """
    servers: list[Manned] = []
    parts = [(kind, [rented.hand for rented in mix if rented.kind is kind]) for kind in kinds]
    for kind, hands in sorted(parts, key=lambda part: -len(part[1])):
        approved = _approved_hands(kind.problem, hands) if hands else []
        if approved is None:
            return None
        servers += [Manned(kind.problem, hand) for hand in approved]
    return [_downsized(kinds, manned) for manned in servers]


def _approved_hands(problem: Problem, hands: list[Hand]) -> list[Hand] | None:
    """The same on no more servers, or where they are few, on as many as are needed."""
    if len(hands) <= FEW:
        anew = _packed(problem, hands)
        return anew if len(anew) <= len(hands) else mend(problem, hands) or anew
    ways = orders([item for hand in hands for item in hand])
    level = levelled(problem, [*ways, dealt(ways[0], len(hands))], len(hands), TIGHT)
    return (level and mend(problem, level.hands)) or mend(problem, hands)


def _packed(problem: Problem, hands: list[Hand]) -> list[Hand]:
    return packed(problem._replace(lower_bound=1), lambda _: [item for hand in hands for item in hand])


def _opened(kinds: Sequence[Kind], mix: Mix) -> list[Manned]:
    """A mix with each kind's part on as many servers as it needs."""
    return [
        _downsized(kinds, Manned(kind.problem, hand))
        for kind in kinds
        if (hands := [rented.hand for rented in mix if rented.kind is kind])
        for hand in _packed(kind.problem, hands)
    ]


def _downsized(kinds: Sequence[Kind], manned: Manned) -> Manned:
    """The same on the cheapest kind on which the twin allows it."""
    shares = shares_of(manned.hand)
    for kind in sorted(kinds, key=lambda kind: kind.price):
        if kind.price < manned.price and kind.capacity.fit(shares):
            return Manned(kind.problem, hand_of(kind.problem, shares))
    return manned


def _least_price(found: Sequence[Sequence[Manned]]) -> float:
    return min(map(_price, found))


def _price(servers: Sequence[Manned]) -> float:
    return sum(manned.price for manned in servers)
