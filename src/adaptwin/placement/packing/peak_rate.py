"""Peak rate: the tokens/s of a server whose batch is full of requests for a single adapter."""

import numpy as np

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.steady_state.costs import costs_of
from adaptwin.steady_state.steady_state import demands_on, steady_state
from adaptwin.twin.server import server_rank
from adaptwin.workload.demand.traffic import AdapterDemands, sum_demands

_IDLE_WEIGHT = 1e-12  # requests/s with which the lengths of idle adapters are weighted


def peak_rate(capacity: Capacity, rank: int) -> float:
    """Prompt and answer tokens/s that one adapter of this rank can get from a server with one slot and no other load.

    Rank 0 stands for the base model, on a server without slots. The lengths are the mean of the workload's adapters,
    weighted by their rates. As in `tokens_per_adapter`, answers count with the tokens asked for. Raises
    `OutOfMemory` when a server with such a slot does not start.
    """
    profile, workload = capacity.profile, capacity.workload
    server = capacity.template.with_slots(min(1, rank), max_lora_rank=server_rank(rank, profile))
    demand = sum_demands(_one_adapter(capacity, rank))
    settled = steady_state(demand, server.limits(profile), costs_of(profile, server), workload.duration)
    lengths = [workload.lengths_of(adapter) for adapter in workload.adapters]
    tokens = np.average([each.mean_input + each.mean_output for each in lengths], weights=_rate_weights(capacity))
    return float(tokens * settled.capacity)


def _one_adapter(capacity: Capacity, rank: int) -> AdapterDemands:
    """Return the demand of one request/s for one adapter, of mean lengths; the peak rate does not depend on it."""
    demands = demands_on(capacity.profile, capacity.template, capacity.workload)
    return AdapterDemands(
        rate=np.ones(1),
        rank=np.full(1, float(rank)),
        per_request=np.average(demands.per_request, axis=0, weights=_rate_weights(capacity))[np.newaxis],
        shared=np.average(demands.shared, axis=0, weights=_rate_weights(capacity))[np.newaxis],
        dispersion=np.ones(1),
        swing=np.zeros(1),
        period=np.zeros(1),
        unknown=np.zeros(1, dtype=np.bool_),
    )


def _rate_weights(capacity: Capacity) -> list[float]:
    return [rate + _IDLE_WEIGHT for rate in capacity.workload.rates]
