"""Forecast: what the twin expects of one server of a plan."""

from typing import Literal

from pydantic import Field

from adaptwin.spec import Spec
from adaptwin.twin.run import Verdict

Binding = Literal["memory", "compute", "slots", "slo"]

MOST_HEADROOM = 3.0  # more than four times the traffic is not searched for
BATCH_FULL = 0.8  # of max_num_seqs: with more requests in the batch on average, that is what the others wait for


class Missed(Spec):
    """An objective that an adapter misses by more than any other; latencies in seconds."""

    adapter: str
    objective: Literal["ttft", "itl"]
    latency: float = Field(description="99th percentile of the TTFT, or mean ITL")
    allowed: float


class Brink(Spec):
    """What a server does when its traffic has just grown too much: the numbers that show what binds it."""

    traffic: float = Field(description="times the traffic of the plan")
    mean_running: float
    mean_waiting: float
    mean_adapters: float = Field(description="distinct adapters in a step, time-weighted")
    kv_usage: float
    busy: float
    preemptions: int
    ttft_p99: float
    itl_mean: float
    itl_p99: float
    missed: Missed | None = None


class Forecast(Spec):
    """What the twin expects of one server, at the traffic of the plan. Latencies in seconds."""

    throughput: float = Field(description="tokens/s")
    offered_throughput: float = Field(description="tokens/s")
    request_rate: float = Field(description="requests/s offered")
    ttft_p50: float
    ttft_p99: float
    itl_mean: float
    itl_p99: float
    kv_usage: float = Field(description="share of the KV cache, time-weighted")
    mean_running: float
    busy: float
    preemptions: int
    rejected: int = Field(default=0, description="requests longer than max_model_len")
    verdict: Verdict
    intervals: dict[str, tuple[float, float]] = Field(
        default_factory=dict, description="where a real server would be nine times in ten, by figure (`Run.intervals`)"
    )
    headroom: float = Field(description="share of traffic the server could take more before a verdict turns")
    binding: Binding = Field(description="what gives way first when traffic grows")
    brink: Brink | None = Field(default=None, description="just beyond the headroom; None where that is not known")

    @property
    def headroom_is_open(self) -> bool:
        """Whether the search for the headroom ended without a limit: the server could take still more."""
        return self.headroom >= MOST_HEADROOM

    def fills_batch(self, max_num_seqs: int) -> bool:
        """Whether about as many requests run as this limit allows, when the server takes no more traffic."""
        running = self.brink.mean_running if self.brink else self.mean_running
        return running >= BATCH_FULL * max_num_seqs


class TriedSlots(Spec):
    """One value of ``max_loras`` tried for a server, and what the twin said of it."""

    max_loras: int
    starts: bool
    throughput: float = 0.0
    itl_mean: float = 0.0
    ttft_p50: float = 0.0
    kv_cache_tokens: int = 0
    verdict: Verdict | None = Field(default=None, description="None when the server does not start")
