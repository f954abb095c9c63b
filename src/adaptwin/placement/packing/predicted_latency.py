"""Predicted latency: the latency score of a server by the surrogate, for moves that lower the highest one."""

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.latency_score import latency_score
from adaptwin.placement.capacity.server_demand import total
from adaptwin.placement.caution import LATENCY_LIKELIHOOD
from adaptwin.placement.packing.items import Bin
from adaptwin.plan.options import LatencyKind

OVERLOAD_SECONDS = 1e6  # score of an overloaded server in seconds, times its likelihood of overload


def predicted_latency(capacity: Capacity, latency: LatencyKind, contents: Bin, factor: float = 1.0) -> float | None:
    """Return the latency score (see `latency_score`) with the best number of slots, by the surrogate.

    A server that is likely overloaded at `factor` times its traffic gets a score above any latency. None where the
    surrogate does not know the server.
    """
    predictions = capacity.known_predictions(total([item.demand for item in contents]), factor)
    if not predictions:
        return None
    likely = [prediction for prediction in predictions if prediction.overload <= LATENCY_LIKELIHOOD]
    if not likely:
        return OVERLOAD_SECONDS * min(prediction.overload for prediction in predictions)
    return min(latency_score(prediction, latency) for prediction in likely)
