"""watch: read the metrics of running servers several times."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from adaptwin.errors import ServerError
from adaptwin.live.addresses import Address
from adaptwin.live.connection import in_event_loop, session_with
from adaptwin.live.prometheus import Prometheus
from adaptwin.live.vllm_server import VllmServer
from adaptwin.live.watched_server import Reading, WatchedServer
from adaptwin.progress import Progress, silent

if TYPE_CHECKING:
    import aiohttp

WATCH_SECONDS = 10.0
PROMETHEUS_SECONDS = 120.0  # its servers are usually scraped every 15 to 60 s, and what they said lies ready
_READ_SHARE = 0.5  # of the readings that a server must answer


class Unreadable(NamedTuple):
    """A server whose metrics cannot be read."""

    name: str
    url: str
    error: str
    labels: frozenset[str] = frozenset()


Seen = WatchedServer | Unreadable


def watch(
    addresses: Sequence[Address],
    *,
    seconds: float | None = None,
    readings: int | None = None,
    api_key: str | None = None,
    progress: Progress = silent,
) -> list[Seen]:
    """Read the metrics of servers at the same times, and return what each said, in the order of the addresses.

    The address of a Prometheus server stands for all vLLM servers that it scrapes; what they said is not waited for.

    Args:
        addresses: Addresses of vLLM servers or of Prometheus servers.
        seconds: Time from the first reading to the last; None: 10 s, and the last two minutes of Prometheus.
        readings: Number of readings; None: one for each second. What Prometheus has is taken as it is.
        api_key: Key that the servers ask for.
        progress: Called with the number of readings.
    """
    time = WATCH_SECONDS if seconds is None else seconds
    times = _reading_times(time, readings or max(2, round(time) + 1))

    async def read_all() -> list[list[Seen]]:
        async with session_with(api_key) as session:
            return await asyncio.gather(
                *(
                    _seen_at(address, session, times, seconds or PROMETHEUS_SECONDS, silent if place else progress)
                    for place, address in enumerate(addresses)
                )
            )

    return [seen for of_address in in_event_loop(read_all) for seen in of_address]


def _reading_times(seconds: float, readings: int) -> list[float]:
    return [seconds * place / max(1, readings - 1) for place in range(readings)]


async def _seen_at(
    address: Address, session: "aiohttp.ClientSession", times: Sequence[float], history: float, progress: Progress
) -> list[Seen]:
    """Return what is seen at one address."""
    prometheus = Prometheus(address.url, session)
    try:
        if await prometheus.answers():
            return list(await prometheus.watched(history))
        return [await _observed(address, VllmServer(address.url, session), times, progress)]
    except ServerError as error:
        return [Unreadable(address.name or address.url, address.url, error.message)]


async def _observed(address: Address, server: VllmServer, times: Sequence[float], progress: Progress) -> WatchedServer:
    """Read the metrics of a server at these times; raises `ServerError` if it does not answer most of the time."""
    clock = asyncio.get_running_loop().time
    readings: list[Reading] = []
    error, began = ServerError("no answer", server.url), clock()
    for number, time in enumerate(times):
        progress("reading metrics", number, len(times))
        await asyncio.sleep(max(0.0, began + time - clock()))
        now = clock()
        try:
            readings.append(Reading(now, await server.metrics()))
        except ServerError as raised:
            error = raised
            if not readings:
                raise
    if len(readings) < _READ_SHARE * len(times):
        raise error
    return WatchedServer(
        name=address.name or server.url,
        url=server.url,
        readings=tuple(Reading(reading.seconds - readings[0].seconds, reading.metrics) for reading in readings),
        adapter_paths=await _adapter_paths(server),
    )


async def _adapter_paths(server: VllmServer) -> dict[str, str]:
    """Return where the adapters of a server were loaded from, as far as it says."""
    try:
        return {adapter.name: adapter.root for adapter in (await server.models()).adapters}
    except ServerError:
        return {}
