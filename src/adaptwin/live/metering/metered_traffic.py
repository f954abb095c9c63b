"""MeteredTraffic: requests and tokens of models over windows of time, as Prometheus has counted them."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.errors import ServerError, SpecError
from adaptwin.live.connection import in_event_loop, session_with
from adaptwin.live.metering.meters import METERS, TrafficMeter
from adaptwin.live.prometheus import Prometheus, Series

MOST_POINTS = 11_000  # of a series, which Prometheus gives at most


class MeteredTraffic(NamedTuple):
    """What a meter counted, by model and window of time."""

    meter: TrafficMeter
    window: float  # seconds
    names: tuple[str, ...]  # of models, the adapters among them
    requests: NDArray[np.float64]  # models x windows
    prompt_tokens: NDArray[np.float64]
    answer_tokens: NDArray[np.float64]
    ends: NDArray[np.float64]  # of the windows, unix seconds

    @property
    def busiest(self) -> int:
        """Index of the window with the most requests."""
        return int(np.argmax(self.requests.sum(axis=0)))

    def rates(self, window: int | None) -> NDArray[np.float64]:
        """Return requests per second of each model, in a window or, without one, over all."""
        counted = self.requests.mean(axis=1) if window is None else self.requests[:, window]
        return np.asarray(counted / self.window)

    def mean_tokens(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean prompt and answer tokens of each model's requests over all windows; NaN where none are known."""
        requests = self.requests.sum(axis=1)
        known = requests > 0
        prompt, answer = self.prompt_tokens.sum(axis=1), self.answer_tokens.sum(axis=1)
        means = (
            np.divide(tokens, requests, out=np.full(len(requests), np.nan), where=known & (tokens > 0))
            for tokens in (prompt, answer)
        )
        return next(means), next(means)


def read_metered_traffic(
    url: str, *, since: float, window: float, api_key: str | None = None, end: float | None = None
) -> MeteredTraffic:
    """Return what the first of `METERS` that a Prometheus server knows has counted.

    Args:
        url: Address of the Prometheus server.
        since: Seconds before the end that are asked for; at least one window.
        window: Seconds of a window.
        api_key: Key that the server asks for.
        end: End of the time, unix seconds; None: now.

    Raises:
        SpecError: The time is shorter than a window, or has too many.
        ServerError: There is no Prometheus server, or it has no such counters in this time.
    """
    if window > since:
        raise SpecError(f"{window:g} s must be at most the time that is asked for, {since:g} s", "window")
    if since / window > MOST_POINTS:
        raise SpecError(f"{window:g} s give over {MOST_POINTS:,} windows in {since:g} s", "window")
    last = time.time() if end is None else end

    async def read() -> MeteredTraffic:
        async with session_with(api_key) as session:
            prometheus = Prometheus(url, session)
            if not await prometheus.answers():
                raise ServerError("is no Prometheus server", url)
            for meter in METERS:
                if found := await _read_meter(prometheus, meter, last, since, window):
                    return found
        known = ", ".join(meter.title for meter in METERS)
        raise ServerError(f"Prometheus has no requests of this time in the counters of {known}", url)

    found: MeteredTraffic = in_event_loop(read)
    return found


async def _read_meter(
    prometheus: Prometheus, meter: TrafficMeter, end: float, since: float, window: float
) -> MeteredTraffic | None:
    """Return what a meter counted; None if it counted no request."""
    ends = np.asarray(np.arange(int(since // window))[::-1] * -window + end, dtype=np.float64)

    async def series_of(selector: str) -> Sequence[Series]:
        return await prometheus.query_range(meter.increase(selector, window), float(ends[0]), end, window)

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
        name = next((labels[label] for label in meter.labels if labels.get(label)), "")
        row = found.setdefault(name, np.zeros(len(ends)))
        for when, value in points:
            place = int(np.argmin(np.abs(ends - when)))
            row[place] += value if np.isfinite(value) else 0.0
    found.pop("", None)
    return found
