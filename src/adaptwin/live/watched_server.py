"""WatchedServer: what the metrics of one running server said over some time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple

from adaptwin.live.server_metrics import ServerMetrics


class Reading(NamedTuple):
    """The metrics of a server at one moment."""

    seconds: float  # since the first reading
    metrics: ServerMetrics


@dataclass(frozen=True, kw_only=True)
class WatchedServer:
    """Readings of one server, from the first to the last, and what else it said of itself."""

    name: str
    url: str
    readings: tuple[Reading, ...]  # at least one
    labels: frozenset[str] = frozenset()  # values of the labels under which Prometheus keeps its metrics
    adapter_paths: Mapping[str, str] = field(default_factory=dict)  # where its adapters were loaded from, by name

    @property
    def server_url(self) -> str:
        """Address of the server itself; that of Prometheus is not."""
        return f"http://{self.name}" if self.labels else self.url

    @property
    def first(self) -> ServerMetrics:
        """The first metrics."""
        return self.readings[0].metrics

    @property
    def last(self) -> ServerMetrics:
        """The last metrics."""
        return self.readings[-1].metrics

    @property
    def seconds(self) -> float:
        """Time between the first and the last reading."""
        return self.readings[-1].seconds - self.readings[0].seconds

    @property
    def metrics(self) -> list[ServerMetrics]:
        """The metrics of all readings."""
        return [reading.metrics for reading in self.readings]

    @property
    def adapters_with_requests(self) -> list[str]:
        """Adapters with running or waiting requests in one of the readings, in the order of their names."""
        return sorted({name for each in self.metrics for name in (*each.running_adapters, *each.waiting_adapters)})

    @property
    def missing(self) -> tuple[str, ...]:
        """Metrics that this version of vLLM does not have, or not without adapters."""
        last = self.last
        by_reason = () if last.waiting_by_reason else ("num_requests_waiting_by_reason",)
        adapters = () if last.max_loras is not None else ("lora_requests_info",)
        return (*last.missing, *by_reason, *adapters)

    def share(self, holds: Callable[[ServerMetrics], bool]) -> float:
        """Return the share of the readings for which something holds."""
        return fmean(holds(metrics) for metrics in self.metrics)

    def mean(self, value: Callable[[ServerMetrics], float | None]) -> float | None:
        """Return the mean of a value over the readings that have it; None if none has."""
        known = [found for metrics in self.metrics if (found := value(metrics)) is not None]
        return fmean(known) if known else None

    def growth(self, value: Callable[[ServerMetrics], float | None]) -> float | None:
        """Return the growth of a counter from the first reading to the last; None if unknown, as after a restart."""
        before, after = value(self.first), value(self.last)
        return after - before if before is not None and after is not None and after >= before else None

    def rate(self, value: Callable[[ServerMetrics], float | None]) -> float | None:
        """Return the growth of a counter per second; None if it is unknown."""
        grown = self.growth(value)
        return grown / self.seconds if grown is not None and self.seconds > 0 else None

    @property
    def arrived(self) -> float | None:
        """Requests that arrived: those that finished, and the growth of those that run and wait."""
        finished = self.growth(lambda metrics: metrics.finished)
        before, after = _in_server(self.first), _in_server(self.last)
        if finished is None or before is None or after is None:
            return None
        return max(0.0, finished + after - before)


def _in_server(metrics: ServerMetrics) -> float | None:
    if metrics.running is None or metrics.waiting is None:
        return None
    return metrics.running + metrics.waiting
