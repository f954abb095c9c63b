"""Forecast: the simulated performance of one server of a plan."""

from typing import Literal

from pydantic import Field

from adaptwin.spec import Name, Spec
from adaptwin.twin.extrapolation import Extrapolation
from adaptwin.twin.run import Grade, Verdict, grade_of

Binding = Literal["memory", "compute", "max_num_seqs", "slots", "loads", "slo", "nothing"]

MOST_HEADROOM = 3.0  # the search for the headroom ends at four times the traffic
HEADROOM_SEEDS = 20  # with each of which a server sustains its headroom


class Missed(Spec):
    """The latency objective that is missed by the largest factor. Latencies in seconds."""

    adapter: Name = Field(description="name of the adapter")
    objective: Literal["ttft", "itl"] = Field(description="objective that is missed")
    latency: float = Field(description="simulated latency in seconds: 99th percentile of the TTFT, or mean ITL")
    allowed: float = Field(description="limit that the objective sets, in seconds")


class Brink(Spec):
    """A run of a server with slightly more traffic than it can serve, which shows what limits it."""

    traffic: float = Field(description="traffic of this run, as a multiple of the plan's")
    mean_running: float = Field(description="running requests, mean over time")
    mean_waiting: float = Field(description="waiting requests, mean over time")
    mean_adapters: float = Field(description="distinct adapters in a step, mean over time")
    kv_usage: float = Field(description="share of the KV cache in use, mean over time")
    busy: float = Field(description="share of the time in which a step was running")
    preemptions: int = Field(description="requests that were preempted")
    loading: float = Field(default=0.0, description="share of the time in which steps waited for adapters to load")
    ttft_p99: float = Field(description="99th percentile of the TTFT, in seconds")
    itl_mean: float = Field(description="mean ITL, in seconds")
    itl_p99: float = Field(description="99th percentile of the ITL, in seconds")
    missed: Missed | None = Field(
        default=None, description="latency objective that is missed by the largest factor; None if none is missed"
    )


class Forecast(Spec):
    """The simulated performance of one server at the traffic of the plan. Latencies in seconds."""

    throughput: float = Field(description="prompt + output tokens/s of requests that finished")
    offered_throughput: float = Field(description="prompt + output tokens/s that arrived")
    request_rate: float = Field(description="requests/s offered")
    ttft_p50: float = Field(description="median TTFT, in seconds")
    ttft_p99: float = Field(description="99th percentile of the TTFT, in seconds")
    itl_mean: float = Field(description="mean ITL, in seconds")
    itl_p99: float = Field(description="99th percentile of the ITL, in seconds")
    kv_usage: float = Field(description="share of the KV cache in use, mean over time")
    prefix_hit_rate: float | None = Field(
        default=None,
        description="share of the tokens of admitted prompts that were in cached blocks; None without prefix caching",
    )
    host_memory_gib: float = Field(
        default=0.0, ge=0, description="adapters in host memory, which vLLM pins, at most, in GiB"
    )
    mean_running: float = Field(description="running requests, mean over time")
    busy: float = Field(description="share of the time in which a step was running")
    preemptions: int = Field(description="requests that were preempted")
    rejected: int = Field(default=0, description="requests longer than max_model_len, or over max_num_queued_reqs")
    verdict: Verdict = Field(description="worst verdict among the server and its adapters")
    sluggish: bool = Field(
        default=False,
        description="whether over 1 % of requests without a limit or objective on TTFT wait for over 2 s",
    )
    intervals: dict[str, tuple[float, float]] = Field(
        default_factory=dict, description="90 % interval for a real server, by figure (`Run.intervals`)"
    )
    extrapolations: tuple[Extrapolation, ...] = Field(
        default=(), description="how the server differs from those that were measured; empty if in nothing"
    )
    headroom: float = Field(
        description="additional traffic, as a share, that the server sustains with every verdict ok, with each of "
        f"{HEADROOM_SEEDS} seeds that the search did not use"
    )
    binding: Binding = Field(
        description="what limits the server when its traffic grows; nothing if the search found no limit"
    )
    brink: Brink | None = Field(default=None, description="a run just beyond the headroom; None where there is none")

    @property
    def grade(self) -> Grade:
        """The verdict, or sluggish if that is ok but requests wait for long."""
        return grade_of(self.verdict, sluggish=self.sluggish)

    @property
    def headroom_is_open(self) -> bool:
        """Whether the search for the headroom ended without finding a limit: the true headroom may be larger."""
        return self.headroom >= MOST_HEADROOM


class TriedSlots(Spec):
    """One value of ``max_loras`` tried for a server, and the simulated performance with it."""

    max_loras: int = Field(description="slots")
    starts: bool = Field(description="whether the server starts with so many slots; if not, its figures are 0")
    throughput: float = Field(default=0.0, description="prompt + output tokens/s of requests that finished")
    itl_mean: float = Field(default=0.0, description="mean ITL, in seconds")
    ttft_p50: float = Field(default=0.0, description="median TTFT, in seconds")
    kv_cache_tokens: int = Field(default=0, description="size of the KV cache, in tokens")
    verdict: Verdict | None = Field(
        default=None, description="worst verdict among the server and its adapters; None when the server does not start"
    )
