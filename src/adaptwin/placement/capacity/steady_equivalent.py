"""Steady equivalent: how much more traffic a server bears if it comes at a constant rate, for the surrogate's guidance.

A server that bears some requests per second at a constant rate may not bear as many if they come in bursts, or follow
the hours of a day. How many fewer depends on the bursts, and little on the adapters. So it is found once for a
workload, on one typical server: the twin finds the most traffic that this server bears with the arrivals of the
workload, and the surrogate the most that it bears at a constant rate.
"""

from collections.abc import Callable
from functools import partial

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.largest import largest_factor
from adaptwin.placement.capacity.typical_server import typical_server
from adaptwin.placement.capacity.workload_surrogate import WorkloadSurrogate
from adaptwin.placement.caution import FILL_LIKELIHOOD
from adaptwin.profile.profile import Profile
from adaptwin.twin.server import Server
from adaptwin.workload.demand.traffic import UNKNOWN_RATE
from adaptwin.workload.workload import Workload

LEAST_TRAFFIC, MOST_TRAFFIC = 0.03, 3.0  # on its traffic, between which both limits are searched for
BORNE_PRECISION = 1.03  # of both limits, as a ratio


def steady_factor(surrogate: WorkloadSurrogate, profile: Profile, workload: Workload, template: Server) -> float | None:
    """Return the factor on a constant rate, at least 1, that makes it as hard to bear as the workload's arrivals.

    None where it cannot be found: the surrogate was not trained on such servers, or the twin bears almost nothing.
    """
    capacity = Capacity(profile, workload, template)
    shares = typical_server(capacity, capacity.names)
    choices = capacity.slot_choices(shares)
    if not choices:
        return None
    traffic = surrogate.traffic_of(shares.items())
    traffic[UNKNOWN_RATE] = 0.0  # as if all of it came at a constant rate
    rank = capacity.server(shares, choices[0]).max_lora_rank

    def holds_steadily(slots: int, factor: float) -> bool:
        overload = surrogate.least_overload(traffic, [slots], rank, factor)
        return overload is not None and overload <= FILL_LIKELIHOOD

    steady = {slots: _most_borne(partial(holds_steadily, slots)) for slots in choices}
    best = max(choices, key=steady.__getitem__)
    most = _most_borne(lambda factor: capacity.ask(shares, best, factor).ok)
    return max(1.0, steady[best] / most) if min(most, steady[best]) > LEAST_TRAFFIC else None


def _most_borne(holds: Callable[[float], bool]) -> float:
    return largest_factor(LEAST_TRAFFIC, MOST_TRAFFIC, BORNE_PRECISION, holds).low
