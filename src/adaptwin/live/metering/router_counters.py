"""RouterCounters: what a router has counted since its start, by the page of /metrics that it serves itself."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from adaptwin.calibration.sources.metrics_page import MetricSample, metric_number, page_samples
from adaptwin.errors import ServerError
from adaptwin.live.connection import USUAL_TIMEOUT, get_text
from adaptwin.live.metering.meters import METERS, TrafficCounter, TrafficMeter

if TYPE_CHECKING:
    import aiohttp

METRICS_PATH = "/metrics"


class Counted(NamedTuple):
    """Requests and tokens of one model."""

    requests: float
    prompt_tokens: float
    answer_tokens: float

    def since(self, before: "Counted | None") -> "Counted":
        """Return the growth; if a counter shrank, the program started again, and all that it has now is growth."""
        if before is None or any(now < then for now, then in zip(self, before, strict=True)):
            return self
        return Counted(*(now - then for now, then in zip(self, before, strict=True)))


class RouterCounters(NamedTuple):
    """What a router has counted since its start."""

    meter: TrafficMeter
    models: dict[str, Counted]  # by the name of the model that was asked for

    def since(self, before: "RouterCounters") -> dict[str, Counted]:
        """Return how much the counters of each model grew since another reading, as Prometheus' increase tells it.

        A model that was not there before has grown by all that it has; so has one whose counters shrank, as after a
        restart of the router.
        """
        earlier = before.models if before.meter == self.meter else {}
        return {name: counted.since(earlier.get(name)) for name, counted in self.models.items()}


def router_counters(samples: Iterable[MetricSample]) -> RouterCounters | None:
    """Return what the first of `METERS` that a page has counts; None if it has none, as before the first request."""
    every = list(samples)
    names = {sample.name for sample in every}
    meter = next((each for each in METERS if names & {*each.requests.names}), None)
    if meter is None:
        return None
    counts = [
        _by_asked_model(every, meter, each) for each in (meter.requests, meter.prompt_tokens, meter.answer_tokens)
    ]
    return RouterCounters(meter, {name: Counted(*(each.get(name, 0.0) for each in counts)) for name in counts[0]})


def _by_asked_model(samples: Iterable[MetricSample], meter: TrafficMeter, counter: TrafficCounter) -> dict[str, float]:
    """Return the sum of a counter over all its other labels, by the model that was asked for."""
    found: dict[str, float] = {}
    for sample in samples:
        if counter.takes(sample) and (name := meter.model_of(sample.labels)):
            found[name] = found.get(name, 0.0) + (metric_number(sample.value) or 0.0)
    return found


async def read_router_counters(
    url: str, session: "aiohttp.ClientSession", timeout: float = USUAL_TIMEOUT
) -> RouterCounters:
    """Return what a router has counted, by its page of /metrics.

    Args:
        url: Address of the router, with or without ``/metrics``.
        session: Open session, which carries the key.
        timeout: Seconds for an answer.

    Raises:
        ServerError: There is no such page, or it has no counters of `METERS`, as before the first request.
    """
    address = url.rstrip("/").removesuffix(METRICS_PATH)
    found = router_counters(page_samples(await _page_of_metrics(address, session, timeout)))
    if found is None:
        known = ", ".join(meter.title for meter in METERS)
        raise ServerError(f"{METRICS_PATH} has no requests in the counters of {known}", address)
    return found


async def _page_of_metrics(address: str, session: "aiohttp.ClientSession", timeout: float) -> str:
    """Return the page, which LiteLLM has at ``/metrics/``: its redirect may name another port behind a proxy."""
    try:
        return await get_text(session, address, METRICS_PATH, timeout)
    except ServerError as error:
        if error.status is None or not 300 <= error.status < 400:
            raise
    return await get_text(session, address, f"{METRICS_PATH}/", timeout)
