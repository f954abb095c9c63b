"""PublishedMetrics: what a watch knows of its fleet, as metrics for Prometheus."""

import math
from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

from adaptwin.errors import SpecError
from adaptwin.live.watching.watched_round import WatchedRound

PREFIX = "adaptwin_"


class PublishedMetric(NamedTuple):
    """A metric of the watch: its name without `PREFIX`, what it says, and its labels."""

    name: str
    text: str
    labels: tuple[str, ...] = ()


PLAN_HOLDS = PublishedMetric("plan_holds", "Whether the running plan holds for the next hour: 1 or 0; NaN: unknown")
GPUS = PublishedMetric("gpus", "GPUs of the running plan")
WANTED_GPUS = PublishedMetric("wanted_gpus", "GPUs of the plan that should run")
REQUESTS = PublishedMetric("requests_per_second", "Requests per second that arrived in the last stretch; NaN: unknown")
FORECAST = PublishedMetric("forecast_requests_per_second", "Requests per second that are expected in the next hour")
OVERLOADED = PublishedMetric("overloaded_adapters", "Adapters that would be starved or backlogged in the next hour")
ADAPTER_OVERLOADED = PublishedMetric(
    "adapter_overloaded", "1 for each adapter that would be starved or backlogged in the next hour", ("adapter",)
)
SERVER_UP = PublishedMetric("server_up", "Whether the metrics of the server could be read", ("server",))
HEADROOM = PublishedMetric(
    "server_headroom_ratio",
    "How much more traffic than in the next hour the server bears, up to 3; below 0: how much less",
    ("server",),
)
WAITING_ADAPTERS = PublishedMetric(
    "server_waiting_adapters", "Adapters that wait without being served, as far as vLLM names them", ("server",)
)
MEASURED_TOKENS = PublishedMetric(
    "server_measured_tokens_per_second", "Prompt and answer tokens per second", ("server",)
)
EXPECTED_TOKENS = PublishedMetric(
    "server_expected_tokens_per_second", "Tokens per second of the twin with the same traffic", ("server",)
)
MEASURED_TTFT = PublishedMetric("server_measured_ttft_seconds", "Mean time to first token", ("server",))
EXPECTED_TTFT = PublishedMetric("server_expected_ttft_seconds", "Mean time to first token of the twin", ("server",))
MEASURED_ITL = PublishedMetric("server_measured_itl_seconds", "Mean inter-token latency", ("server",))
EXPECTED_ITL = PublishedMetric("server_expected_itl_seconds", "Mean inter-token latency of the twin", ("server",))
LAST_ROUND = PublishedMetric("last_round_timestamp_seconds", "End of the last stretch that was watched, unix seconds")
GAUGES = (
    PLAN_HOLDS,
    GPUS,
    WANTED_GPUS,
    REQUESTS,
    FORECAST,
    OVERLOADED,
    ADAPTER_OVERLOADED,
    SERVER_UP,
    HEADROOM,
    WAITING_ADAPTERS,
    MEASURED_TOKENS,
    EXPECTED_TOKENS,
    MEASURED_TTFT,
    EXPECTED_TTFT,
    MEASURED_ITL,
    EXPECTED_ITL,
    LAST_ROUND,
)
DECISIONS = PublishedMetric("decisions_total", "Rounds of the watch, by what was decided", ("kind",))
MOVES = PublishedMetric("moves_total", "Adapters that were to move to another server")


class PublishedMetrics:
    """Metrics of a watch, and the page on which Prometheus finds them.

    Raises:
        SpecError: prometheus_client is not installed.
    """

    def __init__(self) -> None:
        client = _client()
        self._registry = client.CollectorRegistry()
        self._gauges = {
            metric: client.Gauge(PREFIX + metric.name, metric.text, metric.labels, registry=self._registry)
            for metric in GAUGES
        }
        self._decisions, self._moves = (
            client.Counter(
                PREFIX + metric.name.removesuffix("_total"), metric.text, metric.labels, registry=self._registry
            )
            for metric in (DECISIONS, MOVES)
        )
        for metric in GAUGES:  # 0 would be a figure
            if not metric.labels:
                self._gauges[metric].set(math.nan)

    def serve(self, host: str, port: int) -> None:
        """Serve the page ``/metrics`` in a thread of its own; raises `SpecError` if the address cannot be used."""
        try:
            _client().start_http_server(port, addr=host, registry=self._registry)
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise SpecError(f"cannot be served at {host}:{port}: {reason.lower()}", "metrics") from None

    def page(self) -> str:
        """Return the page in the text format of Prometheus."""
        text: str = _client().generate_latest(self._registry).decode()
        return text

    def publish(self, watched: WatchedRound) -> None:
        """Take over what a round of the watch found; servers and adapters that are gone are left out."""
        for metric, gauge in self._gauges.items():
            if metric.labels:
                gauge.clear()
        for metric, labels, value in _metric_values(watched):
            gauge = self._gauges[metric]
            (gauge.labels(*labels) if labels else gauge).set(math.nan if value is None else value)
        self._decisions.labels(watched.decision.kind).inc()
        if watched.decision.kind in ("change", "fewer"):
            self._moves.inc(watched.decision.moves)


def _metric_values(watched: WatchedRound) -> Iterator[tuple[PublishedMetric, tuple[str, ...], float | None]]:
    """Yield the value of each metric; None where it is not known."""
    observed, decision = watched.observed, watched.decision
    outlook, forecast = decision.outlook, decision.forecast
    yield PLAN_HOLDS, (), None if outlook is None else float(outlook.holds)
    yield GPUS, (), watched.running.gpus
    yield WANTED_GPUS, (), (watched.found or watched.running).gpus
    yield REQUESTS, (), observed.request_rate
    yield FORECAST, (), forecast.request_rate if forecast else None
    yield OVERLOADED, (), len(outlook.overloaded) if outlook else None
    yield LAST_ROUND, (), observed.time
    for name in outlook.overloaded if outlook else ():
        yield ADAPTER_OVERLOADED, (name,), 1.0
    for name, headroom in (outlook.headroom if outlook else {}).items():
        yield HEADROOM, (name,), headroom
    for name in observed.unreadable:
        yield SERVER_UP, (name,), 0.0
    for name, server in observed.servers.items():
        yield SERVER_UP, (name,), 1.0
        yield WAITING_ADAPTERS, (name,), len(server.waiting_adapters)
        yield MEASURED_TOKENS, (name,), server.tokens
        yield MEASURED_TTFT, (name,), server.ttft
        yield MEASURED_ITL, (name,), server.itl
        if run := watched.expected.get(name):
            yield EXPECTED_TOKENS, (name,), run.throughput
            yield EXPECTED_TTFT, (name,), run.ttft.mean
            yield EXPECTED_ITL, (name,), run.itl.mean


def _client() -> ModuleType:
    try:
        import prometheus_client
    except ModuleNotFoundError:
        raise SpecError("metrics need prometheus_client: pip install 'adaptwin[live]'") from None
    return prometheus_client
