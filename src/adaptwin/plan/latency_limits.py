"""LatencyLimits: the highest 99th percentiles of latency that every server of a plan may have."""

from pydantic import Field

from adaptwin.spec import Spec


class LatencyLimits(Spec):
    """In seconds, over all requests (TTFT) and all gaps between tokens (ITL) of a server; None is no limit."""

    ttft_p99: float | None = Field(default=None, gt=0)
    itl_p99: float | None = Field(default=None, gt=0)

    def __bool__(self) -> bool:
        return self.ttft_p99 is not None or self.itl_p99 is not None

    def holds(self, *, ttft_p99: float, itl_p99: float) -> bool:
        """Whether these percentiles are within the limits; what was not measured (NaN) is."""
        return not (
            (self.ttft_p99 is not None and ttft_p99 > self.ttft_p99)
            or (self.itl_p99 is not None and itl_p99 > self.itl_p99)
        )


NO_LATENCY_LIMITS = LatencyLimits()
