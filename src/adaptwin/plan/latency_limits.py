"""LatencyLimits: upper limits on the 99th percentiles of latency, which every server of a plan must keep."""

from pydantic import Field

from adaptwin.spec import Spec


class LatencyLimits(Spec):
    """Upper limits in seconds, over all requests (TTFT) and all gaps between tokens (ITL) of a server.

    None means that there is no limit.
    """

    ttft_p99: float | None = Field(default=None, gt=0)
    itl_p99: float | None = Field(default=None, gt=0)

    def __bool__(self) -> bool:
        return self.ttft_p99 is not None or self.itl_p99 is not None

    def holds(self, *, ttft_p99: float, itl_p99: float) -> bool:
        """Whether these percentiles are within the limits; one that was not measured (NaN) counts as within."""
        return not (
            (self.ttft_p99 is not None and ttft_p99 > self.ttft_p99)
            or (self.itl_p99 is not None and itl_p99 > self.itl_p99)
        )


NO_LATENCY_LIMITS = LatencyLimits()
