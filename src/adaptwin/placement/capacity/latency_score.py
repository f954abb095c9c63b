"""Latency score: one figure for the latency of a server, by which settings and placements are compared."""

from adaptwin.placement.capacity.answer import Answer
from adaptwin.plan.options import LatencyKind
from adaptwin.surrogate.surrogate import Prediction

TOLERATED = {"itl": 0.1, "ttft": 1.0}  # seconds up to which the latency that is not lowered costs nothing


def latency_score(said: Prediction | Answer, latency: LatencyKind) -> float:
    """Return the 99th percentile of the latency to lower, in seconds, times a factor for the other one.

    The factor is 1 up to a tolerated 99th percentile, a second of TTFT or 100 ms of ITL, and grows in proportion above
    it. Otherwise the lowest ITL would be that of a server on which most requests wait in a queue.
    """
    if latency == "itl":
        return said.itl_p99 * max(1.0, said.ttft_p99 / TOLERATED["ttft"])
    return said.ttft_p99 * max(1.0, said.itl_p99 / TOLERATED["itl"])
