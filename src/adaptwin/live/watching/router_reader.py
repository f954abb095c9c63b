"""RouterReader: what a router, or a Prometheus server that scrapes one, has counted since it was read last."""

from typing import TYPE_CHECKING, NamedTuple

from adaptwin.errors import ServerError
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
        What answers as neither, as while it starts, is asked again the next time.

        Args:
            session: Open session, which carries the key.
            now: The time, unix seconds.
            seconds: Time that is asked for.

        Raises:
            ServerError: It does not answer, has no such counters, or has begun to count again.
        """
        if await self._asks_prometheus(session):
            asked = AskedTime(since=seconds, window=seconds, end=now)
            return _of_window(await read_prometheus(Prometheus(self.url, session), asked))
        before, counters = self._before, await read_router_counters(self.url, session)
        self._before, self._is_prometheus = (now, counters), False
        if before is None or now <= before[0]:
            return None
        if _have_begun_again(before[1], counters):
            raise ServerError("its counters have begun again, so it has restarted", self.url)
        scale = seconds / (now - before[0])
        grown = counters.since(before[1])
        models = {name: Counted(*(scale * value for value in counted)) for name, counted in grown.items()}
        return CountedModels(counters.meter.title, counters.meter.knows_adapters, models)

    async def _asks_prometheus(self, session: "aiohttp.ClientSession") -> bool:
        if self._is_prometheus is not None:
            return self._is_prometheus
        is_found = not self.url.endswith(METRICS_PATH) and await Prometheus(self.url, session).answers()
        self._is_prometheus = is_found or None
        return is_found


def _have_begun_again(before: RouterCounters, counters: RouterCounters) -> bool:
    """Whether a model has fewer requests than before, or is gone."""
    return any(
        name not in counters.models or counters.models[name].requests < counted.requests
        for name, counted in before.models.items()
    )


def _of_window(traffic: MeteredTraffic) -> CountedModels:
    """Return what was counted in the only window of some traffic."""
    columns = zip(traffic.requests, traffic.prompt_tokens, traffic.answer_tokens, strict=True)
    models = {
        name: Counted(*(float(row[0]) for row in rows)) for name, rows in zip(traffic.names, columns, strict=True)
    }
    return CountedModels(traffic.meter.title, traffic.meter.knows_adapters, models)
