"""RouterReader: what a router, or a Prometheus server that scrapes one, has counted since it was read last."""

from typing import TYPE_CHECKING, NamedTuple

from adaptwin.live.metering.metered_traffic import MeteredTraffic
from adaptwin.live.metering.read_traffic import AskedTime, read_prometheus
from adaptwin.live.metering.router_counters import METRICS_PATH, Counted, RouterCounters, read_router_counters
from adaptwin.live.prometheus import Prometheus

if TYPE_CHECKING:
    import aiohttp


class CountedModels(NamedTuple):
    """What was counted by the name of the model that was asked for, and who counted it."""

    title: str
    knows_adapters: bool
    models: dict[str, Counted]


class RouterReader:
    """Reads the counters of a router again and again.

    Args:
        url: Address of a router, or of a Prometheus server.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._is_prometheus: bool | None = None
        self._before: tuple[float, RouterCounters] | None = None  # time, and what was counted until then

    async def read(self, session: "aiohttp.ClientSession", now: float, seconds: float) -> CountedModels | None:
        """Return what was counted in the last seconds; None at the first reading of a router's own page.

        After a pause, what a router counted in it is taken for as many seconds as asked.

        Args:
            session: Open session, which carries the key.
            now: The time, unix seconds.
            seconds: Time that is asked for.

        Raises:
            ServerError: It does not answer, or has no such counters.
        """
        if self._is_prometheus is None:
            is_page = self.url.endswith(METRICS_PATH)
            self._is_prometheus = not is_page and await Prometheus(self.url, session).answers()
        if self._is_prometheus:
            asked = AskedTime(since=seconds, window=seconds, end=now)
            return _of_window(await read_prometheus(Prometheus(self.url, session), asked))
        before, counters = self._before, await read_router_counters(self.url, session)
        self._before = now, counters
        if before is None or now <= before[0]:
            return None
        scale = seconds / (now - before[0])
        grown = counters.since(before[1])
        models = {name: Counted(*(scale * value for value in counted)) for name, counted in grown.items()}
        return CountedModels(counters.meter.title, counters.meter.knows_adapters, models)


def _of_window(traffic: MeteredTraffic) -> CountedModels:
    """Return what was counted in the only window of some traffic."""
    columns = zip(traffic.requests, traffic.prompt_tokens, traffic.answer_tokens, strict=True)
    models = {
        name: Counted(*(float(row[0]) for row in rows)) for name, rows in zip(traffic.names, columns, strict=True)
    }
    return CountedModels(traffic.meter.title, traffic.meter.knows_adapters, models)
