"""Forecast: the simulated performance of one server of a plan."""

from typing import Literal

from pydantic import Field

from adaptwin.spec import Spec
from adaptwin.twin.run import Verdict

Binding = Literal["memory", "compute", "slots", "slo"]

MOST_HEADROOM = 3.0  # the search for the headroom ends at four times the traffic
BATCH_FULL = 0.8  # share of max_num_seqs from which on the batch counts as full, on average over time


class Missed(Spec):
    """The latency objective that is missed by the largest factor. Latencies in seconds."""

    adapter: str
    objective: Literal["ttft", "itl"]
    latency: float = Field(description="99th percentile of the TTFT, or mean ITL")
    allowed: float


class Brink(Spec):
    """A run of a server with slightly more traffic than it can serve, which shows what limits it."""

    traffic: float = Field(description="traffic of this run, as a multiple of the plan's")
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
    """The simulated performance of one server at the traffic of the plan. Latencies in seconds."""

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
        default_factory=dict, description="90 % interval for a real server, by figure (`Run.intervals`)"
    )
    headroom: float = Field(
        description="additional traffic, as a share, that the server could serve with every verdict still ok"
    )
    binding: Binding = Field(description="what limits the server when its traffic grows")
    brink: Brink | None = Field(default=None, description="a run just beyond the headroom; None where there is none")

    @property
    def headroom_is_open(self) -> bool:
        """Whether the search for the headroom ended without finding a limit: the true headroom may be larger."""
        return self.headroom >= MOST_HEADROOM

    def fills_batch(self, max_num_seqs: int) -> bool:
        """Whether the batch is about full when the server reaches its limit: `max_num_seqs` is what limits it."""
        running = self.brink.mean_running if self.brink else self.mean_running
        return running >= BATCH_FULL * max_num_seqs


class TriedSlots(Spec):
    """One value of ``max_loras`` tried for a server, and the simulated performance with it."""

    max_loras: int
    starts: bool
    throughput: float = 0.0
    itl_mean: float = 0.0
    ttft_p50: float = 0.0
    kv_cache_tokens: int = 0
    verdict: Verdict | None = Field(default=None, description="None when the server does not start")
