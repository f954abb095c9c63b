"""pack, the default: fill servers to the brim, rank by rank, do with fewer while that can be found, and level them.

Slots are preallocated at the highest rank on a server, so ranks are placed in falling order and a server mixes two
ranks only where one of them ends. Within a rank two orders are tried - hot adapters together, and hot ones dealt
between cold ones - because either can win: hot adapters together need few slots, mixed ones share them better. Orders
are filled by what the surrogate thinks likely (`fill`). Then the number of servers is fixed and traffic raised until
it no longer suffices: so each ends up about equally far from its limit. The twin has its word on every server, and what
it refuses is mended by moves (`squeeze`).

One server fewer is tried as long as something works: filling with a little less than the traffic, because the surrogate
is careful and the twin has the last word; then giving up the emptiest server, by ruin and recreate.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import joblib

from adaptwin.errors import Infeasible
from adaptwin.placement.capacity import Capacity, Fit
from adaptwin.placement.problem import Assignment, Problem
from adaptwin.placement.strategies.fill import LIKELY, fill
from adaptwin.placement.strategies.items import Hand, Item, items_of, likelihood_of_overload, shares_of
from adaptwin.placement.strategies.orders import dealt, falling, least_loaded, orders
from adaptwin.placement.strategies.squeeze import RELIEVED, RUINED, mend, refused, relieve, squeeze
from adaptwin.placement.sums import Sums, total

MOST, MOST_ASKED = 4.0, 1.3  # times the traffic up to which servers are levelled, by guesses and by asking the twin
LEAST = 0.92  # times the traffic that the surrogate must find one server fewer able to bear, for it to be tried
SAFE = 1.03  # times the traffic that every server should bear, where there is room: other seeds bring other arrivals
MANY = 12  # with more servers than this each must bear that: one of so many does see such arrivals
FIRST_STRIDE = 1.1
MISTAKES = 8  # times that servers are relieved of which the surrogate was sure and the twin is not
CLOSE, CLOSE_ENOUGH = 1.015, 1.08  # ratio of two factors that are not told apart: guessing is cheap, asking is not
WORTH_TRYING = 0.8  # times the traffic that one server fewer should bear by the numbers, for it to be tried
WORTH_SQUEEZING = 0.85  # and for more than an order cut into so many: a deal by load, ruin and recreate


class Filled(NamedTuple):
    """Hands, and the factor by which the traffic of all of them can grow."""

    hands: list[Hand]
    factor: float


def pack(problem: Problem) -> list[Assignment]:
    """Place all adapters on as few servers as the twin allows; see the module."""
    return assigned(problem, packed(problem, partial(items_of, problem)))


def packed(problem: Problem, items: Callable[[float], list[Item]]) -> list[Hand]:
    """As few hands as can be found; the twin approves of each.

    `items` gives what is to be placed, of which each must be served alone with so many times its traffic.
    """
    ways, needed = orders(items(1.0)), 1.0
    first = _filled(problem, ways, needed)
    if len(first) > MANY:
        ways, needed = orders(items(SAFE)), SAFE
        first = _filled(problem, ways, needed)
    best, factor = _approved(problem, ways, first, needed)
    while len(best) > max(1, problem.lower_bound) and not problem.out_of_time:
        together = factor * (len(best) - 1) / len(best)  # what one fewer could bear, in terms of the traffic
        fewer = _one_fewer(problem, ways, best, needed, together) if together >= WORTH_TRYING else None
        if fewer is None:
            break
        best, factor = fewer, 1.0
    return best


def _filled(problem: Problem, ways: list[list[Item]], factor: float) -> list[Hand]:
    return min((fill(problem, way, factor) for way in ways), key=len)


def assigned(problem: Problem, hands: list[Hand]) -> list[Assignment]:
    """Each hand on a server with its best number of slots; what was wrongly thought to be served is relieved."""
    capacity = problem.capacity
    for mistake in range(MISTAKES + 1):
        problem.progress("choosing max_loras", 0, len(hands))
        calls = (joblib.delayed(_best)(capacity, hand) for hand in hands)
        fits: list[Fit | None] = list(joblib.Parallel(n_jobs=-1, prefer="threads")(calls))
        wrong = [index for index, fit in enumerate(fits) if fit is None]
        if not wrong:
            break
        if mistake == MISTAKES:
            capacity.best(shares_of(hands[wrong[0]]))  # which says what is wrong
        hands = relieve(problem, hands, wrong, min(RUINED, RELIEVED * 2.0**mistake))
    problem.progress("choosing max_loras", len(hands), len(hands))
    return [
        Assignment(capacity.server(shares, fit.max_loras), shares)
        for shares, fit in zip(map(shares_of, hands), fits, strict=True)
        if fit
    ]


def _best(capacity: Capacity, hand: Hand) -> Fit | None:
    try:
        return capacity.best(shares_of(hand))
    except Infeasible:
        return None


def levelled(problem: Problem, ways: list[list[Item]], servers: int, least: float, most: float = MOST) -> Filled | None:
    """So many servers, filled as evenly as an order allows; None where no order does with them at the least factor.

    Evenly: filled at the highest factor on the traffic at which the order needs no more servers; or simply dealt out by
    load. Of those that leave a little room, the one with the lowest latency. Where the twin must be asked, only the
    first order is tried.
    """
    by_load = least_loaded(falling(ways[0]), servers)
    found = [filled for filled in [_borne(problem, by_load or [], least, most)] if filled]
    for number, way in enumerate(ways if problem.capacity.is_foreseen else ways[:1]):
        problem.progress(f"levelling over {servers} GPUs", number, len(ways))
        if problem.out_of_time:
            break
        filled = _widest(problem, way, servers, least, most)
        if filled:
            found.append(filled)
    problem.progress(f"levelling over {servers} GPUs", len(ways), len(ways))
    if not found:
        return None
    roomy = [filled for filled in found if filled.factor >= SAFE]
    if not roomy:
        return max(found, key=lambda filled: filled.factor)
    return min(roomy, key=lambda filled: latency(problem.capacity, filled.hands)) if len(roomy) > 1 else roomy[0]


def _widest(problem: Problem, way: list[Item], servers: int, least: float, most: float) -> Filled | None:
    """The order, cut into so many hands at the highest factor that allows it, found by galloping, then bisection.

    Where an item is alone that does not bear this, the factor is the one that it does bear.
    """
    best = _at(problem, way, servers, least)
    stride, beyond = FIRST_STRIDE, math.inf  # from where on it needs more servers
    while best and not problem.out_of_time:
        low, high = best.factor, min(beyond, _most(problem, most))
        if high / low <= _close(problem):
            break
        factor = math.sqrt(low * high) if beyond <= high else min(low * stride, high)
        filled = _at(problem, way, servers, factor)
        best, beyond, stride = (filled, beyond, stride**2) if filled else (best, factor, stride)
    if best and not _likely_served(problem, _with_sums(best.hands), best.factor):
        return _borne(problem, best.hands, least, best.factor) or Filled(best.hands, min(least, 1.0))
    return best


def _borne(problem: Problem, hands: list[Hand], least: float, most: float) -> Filled | None:
    """These hands with the highest factor at which all are likely served; None if they are not at the least."""
    known = _with_sums(hands)
    if not known or not _likely_served(problem, known, least):
        return None
    low, high = least, _most(problem, most)
    while high / low > _close(problem):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _likely_served(problem, known, middle) else (low, middle)
    return Filled([hand for hand, _ in known], low)


def _with_sums(hands: list[Hand]) -> list[tuple[Hand, Sums]]:
    return [(hand, total([item.sums for item in hand])) for hand in hands if hand]


def _likely_served(problem: Problem, known: list[tuple[Hand, Sums]], factor: float) -> bool:
    """Whether nobody of these hands likely suffers with so many times the traffic."""
    chances = (likelihood_of_overload(problem.capacity, hand, sums, factor) for hand, sums in known)
    return all(chance <= LIKELY for chance in chances)


def _most(problem: Problem, most: float) -> float:
    return most if problem.capacity.is_foreseen else min(most, MOST_ASKED)


def _close(problem: Problem) -> float:
    return CLOSE if problem.capacity.is_foreseen else CLOSE_ENOUGH


def _at(problem: Problem, way: list[Item], servers: int, factor: float) -> Filled | None:
    hands = fill(problem, way, factor)
    return Filled(hands, factor) if len(hands) <= servers else None


def latency(capacity: Capacity, hands: list[Hand]) -> float:
    """The mean ITL that the surrogate expects over all tokens; infinite where it knows nothing."""
    guesses = [capacity.expected(total([item.sums for item in hand])) for hand in hands]
    if not all(guesses):
        return math.inf
    tokens = sum(guess.throughput for guess in guesses if guess)
    return sum(guess.throughput * guess.itl_mean for guess in guesses if guess) / tokens if tokens else 0.0


def _approved(problem: Problem, ways: list[list[Item]], first: list[Hand], needed: float) -> Filled:
    """Hands that the twin approves of, and by which factor the surrogate thinks that their traffic can grow.

    Levelled, or after moves, or on one server more, or in the end with the refused ones' load on further servers. The
    twin is asked about a little more than the traffic, if they should bear that.
    """
    for servers in (len(first), len(first) + 1):
        level = levelled(problem, [*ways, dealt(ways[0], servers)], servers, needed)
        if level is None:
            continue
        for factor in sorted({needed, max(needed, min(level.factor, SAFE))}, reverse=True):
            if found := mend(problem, level.hands, factor):
                return Filled(found, level.factor / needed)
    return Filled(relieve(problem, first, refused(problem.capacity, first)), 1.0)


def _one_fewer(
    problem: Problem, ways: list[list[Item]], hands: list[Hand], needed: float, together: float
) -> list[Hand] | None:
    """One server fewer, each approved of by the twin at the factor that is needed; None if that is not found."""
    servers = len(hands) - 1
    problem.progress(f"squeezing into {servers} GPUs", 0, 1)
    tight = levelled(problem, ways, servers, LEAST * needed, needed)
    found = tight and mend(problem, tight.hands, needed)
    if not found and together >= WORTH_SQUEEZING:
        by_load = least_loaded(falling(ways[0]), servers)
        found = by_load and mend(problem, by_load, needed)
    if not found and problem.capacity.is_foreseen and together >= WORTH_SQUEEZING:
        found = squeeze(problem, hands, needed)
    problem.progress(f"squeezing into {servers} GPUs", 1, 1)
    return found
