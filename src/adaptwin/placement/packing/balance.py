"""Balance: a given number of servers filled evenly, each about equally far from its limit.

The number of servers is fixed and the traffic raised until an order no longer fits on them: the bins at the highest
factor are the most even that the order has.
"""

import math
from functools import partial
from typing import NamedTuple

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.largest import largest_factor
from adaptwin.placement.capacity.server_demand import ServerDemand, total
from adaptwin.placement.capacity.slots import expected_prediction
from adaptwin.placement.caution import FILL_LIKELIHOOD, OTHER_ARRIVALS_FACTOR
from adaptwin.placement.packing.fill import fill
from adaptwin.placement.packing.items import Bin, Item, likelihood_of_overload
from adaptwin.placement.packing.orders import by_falling_load, to_least_loaded
from adaptwin.placement.packing.problem import Problem

MOST_PREDICTED_FACTOR = 4.0  # times the traffic up to which servers are balanced, by predictions,
MOST_ASKED_FACTOR = 1.3  # and by asking the twin
FIRST_STRIDE = 1.1
FEW_ITEMS = 100  # items up to which all orders are tried even if the twin must be asked
PREDICTED_PRECISION = 1.015  # ratio of two factors that are not told apart: predicting is cheap,
ASKED_PRECISION = 1.08  # asking the twin is not


class Filled(NamedTuple):
    """Hands, and the factor by which the traffic of all of them can grow."""

    bins: list[Bin]
    factor: float


def balanced(
    problem: Problem, ways: list[list[Item]], servers: int, least: float, most: float = MOST_PREDICTED_FACTOR
) -> Filled | None:
    """So many servers, filled as evenly as an order allows; None where no order does with them at the least factor.

    Evenly: filled at the highest factor on the traffic at which the order needs no more servers; or simply placed by
    load. Of those that leave a little room, the one with the lowest latency. Where the twin must be asked
    about many, only the first order is tried.
    """
    tried = ways if problem.capacity.surrogate_knows or len(ways[0]) <= FEW_ITEMS else ways[:1]
    by_load = to_least_loaded(by_falling_load(ways[0]), servers)
    found = [filled for filled in [_borne(problem, by_load or [], least, most)] if filled]
    for number, way in enumerate(tried):
        problem.progress(f"balancing over {servers} GPUs", number, len(ways))
        if problem.out_of_time:
            break
        filled = _widest(problem, way, servers, least, most)
        if filled:
            found.append(filled)
    problem.progress(f"balancing over {servers} GPUs", len(ways), len(ways))
    if not found:
        return None
    roomy = [filled for filled in found if filled.factor >= OTHER_ARRIVALS_FACTOR]
    if not roomy:
        return max(found, key=lambda filled: filled.factor)
    return min(roomy, key=lambda filled: mean_itl(problem.capacity, filled.bins)) if len(roomy) > 1 else roomy[0]


def _widest(problem: Problem, way: list[Item], servers: int, least: float, most: float) -> Filled | None:
    """The order, cut into so many bins at the highest factor that allows it, found by galloping, then bisection.

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
    if best and not _likely_served(problem, _with_demand(best.bins), best.factor):
        return _borne(problem, best.bins, least, best.factor) or Filled(best.bins, min(least, 1.0))
    return best


def _borne(problem: Problem, bins: list[Bin], least: float, most: float) -> Filled | None:
    """These bins with the highest factor at which all are likely served; None if they are not at the least."""
    known = _with_demand(bins)
    if not known or not _likely_served(problem, known, least):
        return None
    served = partial(_likely_served, problem, known)
    factor = largest_factor(least, _most(problem, most), _close(problem), served).low
    return Filled([contents for contents, _ in known], factor)


def _with_demand(bins: list[Bin]) -> list[tuple[Bin, ServerDemand]]:
    return [(contents, total([item.demand for item in contents])) for contents in bins if contents]


def _likely_served(problem: Problem, known: list[tuple[Bin, ServerDemand]], factor: float) -> bool:
    """Whether none of these bins is likely overloaded with so many times the traffic."""
    chances = (likelihood_of_overload(problem.capacity, contents, demand, factor) for contents, demand in known)
    return all(chance <= FILL_LIKELIHOOD for chance in chances)


def _most(problem: Problem, most: float) -> float:
    return most if problem.capacity.surrogate_knows else min(most, MOST_ASKED_FACTOR)


def _close(problem: Problem) -> float:
    return PREDICTED_PRECISION if problem.capacity.surrogate_knows else ASKED_PRECISION


def _at(problem: Problem, way: list[Item], servers: int, factor: float) -> Filled | None:
    bins = fill(problem, way, factor)
    return Filled(bins, factor) if len(bins) <= servers else None


def mean_itl(capacity: Capacity, bins: list[Bin]) -> float:
    """The mean ITL that the surrogate expects over all tokens; infinite where it knows nothing."""
    predictions = [expected_prediction(capacity, total([item.demand for item in contents])) for contents in bins]
    if not all(predictions):
        return math.inf
    tokens = sum(each.throughput for each in predictions if each)
    return sum(each.throughput * each.itl_mean for each in predictions if each) / tokens if tokens else 0.0
