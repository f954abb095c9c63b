"""Diagnosis: what binds a running server, with the evidence for it, as its metrics say."""

from typing import Literal

from pydantic import Field

from adaptwin.live.advice import TwinAdvice
from adaptwin.live.traffic_seen import TrafficSeen
from adaptwin.live.waiting_adapters import WaitingAdapter
from adaptwin.live.watched_server import WatchedServer
from adaptwin.spec import Spec

LiveBinding = Literal["slots", "memory", "max_num_seqs", "compute", "nothing", "idle", "unknown"]
_MEANS_NO_TROUBLE = ("nothing", "idle", "unknown")


class SeenFigures(Spec):
    """Figures of a server, as its metrics say; None where they do not. Latencies in seconds."""

    readings: int = Field(description="readings of the metrics")
    seconds: float = Field(description="time from the first reading to the last")
    running: float | None = Field(default=None, description="running requests, mean over readings")
    waiting: float | None = Field(default=None, description="waiting requests, mean over readings")
    waiting_for_slot: float | None = Field(default=None, description="requests that wait for a slot, mean")
    waiting_for_capacity: float | None = Field(
        default=None, description="requests that wait for KV cache, a seat or tokens of a step, mean"
    )
    running_adapters: float | None = Field(default=None, description="adapters with running requests, mean")
    max_loras: int | None = Field(default=None, description="slots")
    kv_usage: float | None = Field(default=None, description="share of the KV cache in use, mean over readings")
    preemptions: float | None = Field(default=None, description="preemptions since the first reading")
    ttft_mean: float | None = Field(default=None, description="mean TTFT since the first reading")
    itl_mean: float | None = Field(default=None, description="mean ITL since the first reading")
    queue_mean: float | None = Field(
        default=None, description="mean time in the queue of requests that finished since the first reading"
    )
    steps: float | None = Field(default=None, description="steps of the engine per second")
    requests: float | None = Field(default=None, description="requests per second that finished")
    prompt_tokens: float | None = Field(default=None, description="prompt tokens per second")
    answer_tokens: float | None = Field(default=None, description="answer tokens per second")


def seen_figures(watched: WatchedServer) -> SeenFigures:
    """Return the figures of a server over the readings of its metrics."""
    seen, last, first = watched, watched.last, watched.first
    steps = last.steps_since(first)
    has_lora = last.max_loras is not None
    return SeenFigures(
        readings=len(seen.readings),
        seconds=seen.seconds,
        running=seen.mean(lambda metrics: metrics.running),
        waiting=seen.mean(lambda metrics: metrics.waiting),
        waiting_for_slot=seen.mean(lambda metrics: metrics.waiting_by_reason.get("deferred")),
        waiting_for_capacity=seen.mean(lambda metrics: metrics.waiting_by_reason.get("capacity")),
        running_adapters=seen.mean(lambda metrics: float(metrics.busy_adapters)) if has_lora else None,
        max_loras=last.max_loras,
        kv_usage=seen.mean(lambda metrics: metrics.kv_usage),
        preemptions=seen.growth(lambda metrics: metrics.preemptions),
        ttft_mean=last.mean_since(first, "ttft"),
        itl_mean=last.mean_since(first, "itl"),
        queue_mean=last.mean_since(first, "queue"),
        steps=steps / seen.seconds if steps is not None and steps >= 0 and seen.seconds > 0 else None,
        requests=seen.rate(lambda metrics: metrics.finished),
        prompt_tokens=seen.rate(lambda metrics: metrics.prompt_tokens),
        answer_tokens=seen.rate(lambda metrics: metrics.answer_tokens),
    )


class Diagnosis(Spec):
    """What binds a server, and what it was judged by."""

    binding: LiveBinding = Field(
        description="what the requests of the server wait for: slots, memory (the KV cache), max_num_seqs (seats) or "
        "compute; nothing, idle without requests, unknown if the metrics do not tell"
    )
    is_probable: bool = Field(default=False, description="whether the metrics suggest it only")
    evidence: tuple[str, ...] = Field(description="what says so, one sentence each")
    unknown: tuple[str, ...] = Field(default=(), description="what cannot be judged, and why")
    missing: tuple[str, ...] = Field(default=(), description="metrics that the server does not have")
    figures: SeenFigures = Field(description="figures of the server")
    waiting_adapters: tuple[WaitingAdapter, ...] = Field(
        default=(), description="adapters that wait without a running request, the longest wait first"
    )

    @property
    def is_trouble(self) -> bool:
        """Whether something binds the server."""
        return self.binding not in _MEANS_NO_TROUBLE


class DiagnosedServer(Spec):
    """A server, what binds it, and what the twin says of it."""

    name: str = Field(description="name of the server: that of the plan, or its address")
    url: str = Field(description="address at which its metrics were read")
    error: str = Field(default="", description="why its metrics cannot be read; empty if they can")
    planned: str | None = Field(default=None, description="name of this server in the plan; None if it is not known")
    diagnosis: Diagnosis | None = Field(default=None, description="what binds it; None if it cannot be read")
    traffic: TrafficSeen | None = Field(default=None, description="its traffic beside that of the plan or fleet")
    differences: tuple[str, ...] = Field(
        default=(), description="settings and adapters that differ from those of the plan or fleet, one sentence each"
    )
    advice: TwinAdvice | None = Field(default=None, description="what the twin says of it, if something binds it")


class Diagnoses(Spec):
    """The diagnoses of several servers."""

    servers: tuple[DiagnosedServer, ...] = Field(description="diagnosis of each server, in the order of the addresses")

    @property
    def is_trouble(self) -> bool:
        """Whether something binds one of the servers."""
        return any(server.diagnosis.is_trouble for server in self.servers if server.diagnosis)

    @property
    def unreadable(self) -> tuple[DiagnosedServer, ...]:
        """Servers that cannot be read."""
        return tuple(server for server in self.servers if server.error)
