"""read_metered_traffic: what a router has counted, by Prometheus or by the page of /metrics that it serves itself."""

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.errors import ServerError, SpecError
from adaptwin.live.connection import in_event_loop, session_with
from adaptwin.live.metering.metered_traffic import MeteredTraffic
from adaptwin.live.metering.meters import METERS, TrafficCounter, TrafficMeter
from adaptwin.live.metering.router_counters import METRICS_PATH, read_router_counters
from adaptwin.live.prometheus import Prometheus, Series
from adaptwin.progress import Progress, silent

if TYPE_CHECKING:
    import aiohttp

MOST_POINTS = 11_000  # of a series, which Prometheus gives at most
METERED_SINCE, METERED_WINDOW, METERED_OVER = 86_400.0, 3_600.0, 60.0  # seconds


class AskedTime(NamedTuple):
    """The time of which traffic is asked, in seconds; None: as usual, or of the other kind of page."""

    since: float | None = None  # Prometheus: before the end; at least one window
    window: float | None = None  # Prometheus: of a window
    over: float | None = None  # page of /metrics: between the two readings
    end: float | None = None  # Prometheus: end of the time, unix seconds; None: now


def read_metered_traffic(
    url: str, asked: AskedTime | None = None, *, api_key: str | None = None, progress: Progress = silent
) -> MeteredTraffic:
    """Return what the first of `METERS` has counted that a Prometheus server, or else a page of /metrics, knows.

    Args:
        url: Address of a Prometheus server, or of a router or vLLM server, with or without ``/metrics``.
        asked: The time that is asked for.
        api_key: Key that the server asks for.
        progress: Called with the seconds between the two readings of a page.

    Raises:
        SpecError: The time is shorter than a window, has too many, or is of another kind than the page.
        ServerError: There is neither, or it has no such counters, or no request in this time.
    """
    times = asked or AskedTime()

    async def read() -> MeteredTraffic:
        async with session_with(api_key) as session:
            prometheus = Prometheus(url, session)
            if not url.endswith(METRICS_PATH) and await prometheus.answers():
                return await read_prometheus(prometheus, times)
            return await _read_page_twice(url, session, times, progress)

    if times.since or times.window:
        _require_windows(times.since or METERED_SINCE, times.window or METERED_WINDOW)
    found: MeteredTraffic = in_event_loop(read)
    return found


def _require_windows(since: float, window: float) -> None:
    if window > since:
        raise SpecError(f"{window:g} s must be at most the time that is asked for, {since:g} s", "window")
    if since / window > MOST_POINTS:
        raise SpecError(f"{window:g} s give over {MOST_POINTS:,} windows in {since:g} s", "window")


async def _read_page_twice(
    url: str, session: "aiohttp.ClientSession", asked: AskedTime, progress: Progress
) -> MeteredTraffic:
    """Return what a page of /metrics has counted between two readings."""
    over, clock = asked.over or METERED_OVER, asyncio.get_running_loop().time
    try:
        first, began = await read_router_counters(url, session), clock()
    except ServerError as error:
        raise ServerError(f"is no Prometheus server, and {error.message}", error.url, error.status) from None
    if option := "since" if asked.since else "window" if asked.window else "":
        raise SpecError(f"goes with a Prometheus server, and {url} is none: give --over instead", option)
    while (passed := clock() - began) < over:
        progress("reading the counters", int(passed), int(over))
        await asyncio.sleep(min(1.0, over - passed))
    last, seconds = await read_router_counters(url, session), clock() - began
    grown = last.since(first)
    names = tuple(sorted(grown))
    counted = np.array([grown[name] for name in names]).reshape(-1, 3)
    if not counted[:, 0].sum():
        raise ServerError(f"{last.meter.title} counted no request in {seconds:.0f} s: give a longer --over", url)
    return MeteredTraffic(
        meter=last.meter,
        window=seconds,
        names=names,
        requests=counted[:, 0:1],
        prompt_tokens=counted[:, 1:2],
        answer_tokens=counted[:, 2:3],
        ends=np.array([time.time()]),
        is_of_page=True,
    )


async def read_prometheus(prometheus: Prometheus, asked: AskedTime) -> MeteredTraffic:
    """Return what a Prometheus server has of a time, by windows."""
    if asked.over:
        raise SpecError(f"goes with a router's own page, and {prometheus.url} is a Prometheus server", "over")
    end = time.time() if asked.end is None else asked.end
    for meter in METERS:
        if found := await _read_meter(
            prometheus, meter, end, asked.since or METERED_SINCE, asked.window or METERED_WINDOW
        ):
            return found
    known = ", ".join(meter.title for meter in METERS)
    raise ServerError(f"Prometheus has no requests of this time in the counters of {known}", prometheus.url)


async def _read_meter(
    prometheus: Prometheus, meter: TrafficMeter, end: float, since: float, window: float
) -> MeteredTraffic | None:
    """Return what a meter counted; None if it counted no request."""
    ends = np.asarray(np.arange(int(since // window))[::-1] * -window + end, dtype=np.float64)

    async def series_of(counter: TrafficCounter) -> Sequence[Series]:
        return await prometheus.query_range(meter.increase(counter, window), float(ends[0]), end, window)

    requests = _by_model(await series_of(meter.requests), meter, ends)
    if not requests or not sum(row.sum() for row in requests.values()):
        return None
    prompts = _by_model(await series_of(meter.prompt_tokens), meter, ends)
    answers = _by_model(await series_of(meter.answer_tokens), meter, ends)
    names, nothing = tuple(sorted(requests)), np.zeros(len(ends))
    return MeteredTraffic(
        meter=meter,
        window=window,
        names=names,
        requests=np.array([requests[name] for name in names]),
        prompt_tokens=np.array([prompts.get(name, nothing) for name in names]),
        answer_tokens=np.array([answers.get(name, nothing) for name in names]),
        ends=ends,
    )


def _by_model(
    series: Sequence[Series], meter: TrafficMeter, ends: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Return the increases of each model by window; a window that has none counts nothing."""
    found: dict[str, NDArray[np.float64]] = {}
    for labels, points in series:
        name = meter.model_of(labels)
        row = found.setdefault(name, np.zeros(len(ends)))
        for when, value in points:
            place = int(np.argmin(np.abs(ends - when)))
            row[place] += value if np.isfinite(value) else 0.0
    found.pop("", None)
    return found
