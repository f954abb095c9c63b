"""Balance: fill a given number of servers evenly, so that each is about equally far from its limit.

The traffic is raised by a factor until an order of items no longer fits on that number of servers. The bins at the
highest factor are the most even ones that the order allows.
"""

import math
from functools import partial
from typing import NamedTuple

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.largest import largest_factor
from adaptwin.placement.capacity.server_demand import ServerDemand, total
from adaptwin.placement.capacity.slots import expected_prediction
from adaptwin.placement.caution import FILL_LIKELIHOOD, ROOM_SHARE
from adaptwin.placement.packing.fill import fill
from adaptwin.placement.packing.items import Bin, Item, likelihood_of_overload
from adaptwin.placement.packing.orders import by_falling_load, to_least_loaded
from adaptwin.placement.packing.problem import Problem

MOST_PREDICTED_FACTOR = 4.0  # highest factor on the traffic that is tried by predictions
MOST_ASKED_FACTOR = 1.3  # highest factor on the traffic that is tried where the twin must be run
FIRST_STRIDE = 1.1
FEW_ITEMS = 100  # with no more items than this, all orders are tried even where the twin must be run
PREDICTED_PRECISION = 1.015  # precision of the factor, as a ratio, by predictions, which are cheap
ASKED_PRECISION = 1.08  # precision of the factor, as a ratio, where the twin must be run, which is expensive


class Filled(NamedTuple):
    """Bins, and the factor by which the traffic of all of them can grow."""

    bins: list[Bin]
    factor: float


def balanced(
    problem: Problem, ways: list[list[Item]], servers: int, least: float, most: float = MOST_PREDICTED_FACTOR
) -> Filled | None:
    """Fill `servers` servers as evenly as an order allows; None if no order fits on them at the factor `least`.

    Each order is filled at the highest factor on the traffic at which it needs no more servers; also, the items are
    placed by load. The result that bears most is returned; of those that bear nearly as much, the one with the lowest
    mean ITL. Where the twin must be run for many items, only the first order is tried.
    """
    tried = ways if problem.capacity.surrogate_knows or len(ways[0]) <= FEW_ITEMS else ways[:1]
    by_load = to_least_loaded(by_falling_load(ways[0]), servers)
    found = [filled for filled in [_borne(problem, by_load or [], least, most)] if filled]
    for number, way in enumerate(tried):
        problem.progress(f"balancing over {servers} servers", number, len(ways))
        if problem.out_of_time:
            break
        filled = _widest(problem, way, servers, least, most)
        if filled:
            found.append(filled)
    problem.progress(f"balancing over {servers} servers", len(ways), len(ways))
    if not found:
        return None
    enough = nearly(max(filled.factor for filled in found)) / _close(problem)
    best = [filled for filled in found if filled.factor >= enough]
    return min(best, key=lambda filled: mean_itl(problem.capacity, filled.bins)) if len(best) > 1 else best[0]


def _widest(problem: Problem, way: list[Item], servers: int, least: float, most: float) -> Filled | None:
    """Cut the order into `servers` bins at the highest factor that allows it, found by galloping, then bisection.

    If an item is alone on a server because no server sustains it at that factor, the factor that it sustains is given.
    """
    best = _at(problem, way, servers, least)
    stride, beyond = FIRST_STRIDE, math.inf  # the least factor known to need more servers
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


def nearly(factor: float) -> float:
    """Return the factor from which on a placement sustains nearly as much more traffic as with this factor."""
    return factor - ROOM_SHARE * max(0.0, factor - 1.0)


def least_borne(problem: Problem, bins: list[Bin], least: float) -> float:
    """Return the highest factor at which all bins are likely served, or `least` if that is higher."""
    found = _borne(problem, bins, least, MOST_PREDICTED_FACTOR)
    return found.factor if found else least


def _borne(problem: Problem, bins: list[Bin], least: float, most: float) -> Filled | None:
    """Return the bins with the highest factor at which all are likely served; None if they are not even at `least`."""
    known = _with_demand(bins)
    if not known or not _likely_served(problem, known, least):
        return None
    served = partial(_likely_served, problem, known)
    factor = largest_factor(least, _most(problem, most), _close(problem), served).low
    return Filled([contents for contents, _ in known], factor)


def _with_demand(bins: list[Bin]) -> list[tuple[Bin, ServerDemand]]:
    return [(contents, total([item.demand for item in contents])) for contents in bins if contents]


def _likely_served(problem: Problem, known: list[tuple[Bin, ServerDemand]], factor: float) -> bool:
    """Whether none of these bins is likely overloaded at `factor` times its traffic."""
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
    """Mean ITL over all tokens that the surrogate predicts, in seconds; infinite if it does not know every server."""
    predictions = [expected_prediction(capacity, total([item.demand for item in contents])) for contents in bins]
    if not all(predictions):
        return math.inf
    tokens = sum(each.throughput for each in predictions if each)
    return sum(each.throughput * each.itl_mean for each in predictions if each) / tokens if tokens else 0.0
