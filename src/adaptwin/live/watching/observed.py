"""Observed: what a fleet was seen to do over some time, whether it is real or simulated."""

from collections.abc import Mapping
from typing import NamedTuple, Self

from adaptwin.live.metering.router_counters import Counted
from adaptwin.live.waiting_adapters import waiting_adapters
from adaptwin.live.watched_server import WatchedServer
from adaptwin.twin.run import Run


class ObservedServer(NamedTuple):
    """Figures of a server over some time; None where they are not known. Latencies are means in seconds."""

    requests: float | None  # per second that arrived
    finished: float | None  # requests per second
    tokens: float | None  # per second, of prompts and answers
    prompt_tokens: float | None  # per second
    answer_tokens: float | None
    ttft: float | None
    itl: float | None
    waiting: float | None  # requests at the end
    kv_usage: float | None  # share of the KV cache in use, at the end
    waiting_adapters: tuple[str, ...] = ()  # that wait without being served, as far as the metrics name them

    @classmethod
    def of_metrics(cls, seen: WatchedServer) -> Self:
        """Return the figures between the first and the last reading of the metrics of a server."""
        prompts = seen.rate(lambda metrics: metrics.prompt_tokens)
        answers = seen.rate(lambda metrics: metrics.answer_tokens)
        arrived = seen.arrived
        return cls(
            requests=arrived / seen.seconds if arrived is not None and seen.seconds > 0 else None,
            finished=seen.rate(lambda metrics: metrics.finished),
            tokens=prompts + answers if prompts is not None and answers is not None else None,
            prompt_tokens=prompts,
            answer_tokens=answers,
            ttft=seen.last.mean_since(seen.first, "ttft"),
            itl=seen.last.mean_since(seen.first, "itl"),
            waiting=seen.last.waiting,
            kv_usage=seen.last.kv_usage,
            waiting_adapters=tuple(adapter.name for adapter in waiting_adapters(seen) if adapter.still_waits),
        )

    @classmethod
    def of_run(cls, run: Run) -> Self:
        """Return the figures of a simulated run."""
        return cls(
            requests=run.offered_request_rate,
            finished=run.request_rate,
            tokens=run.throughput,
            prompt_tokens=None,
            answer_tokens=None,
            ttft=run.ttft.mean if run.finished else None,
            itl=run.itl.mean if run.finished else None,
            waiting=float(run.adapters["waiting_at_end"].sum()),
            kv_usage=run.kv_usage,
            waiting_adapters=tuple(run.adapters.filter(run.adapters["verdict"] == "starved")["name"]),
        )


class Observed(NamedTuple):
    """What was seen of a fleet over some time, up to now."""

    time: float  # the end, unix seconds
    seconds: float
    servers: Mapping[str, ObservedServer]  # by name; those that could be read
    unreadable: Mapping[str, str]  # why the others could not be read, by name
    requests: Mapping[str, Counted] | None  # that arrived, by adapter; None if that is not known
    source: str  # what counted the requests of the adapters, in words
    notes: tuple[str, ...] = ()

    @property
    def request_rate(self) -> float | None:
        """Requests per second that arrived; None if that is not known."""
        if self.requests is None:
            return None
        return sum(each.requests for each in self.requests.values()) / self.seconds
