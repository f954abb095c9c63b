"""Prometheus: the metrics of vLLM servers in the memory of a Prometheus server."""

import json
from typing import TYPE_CHECKING, Any

from adaptwin.calibration.sources.metrics_page import MetricSample
from adaptwin.errors import ServerError
from adaptwin.live.connection import USUAL_TIMEOUT, get_text, said_as_server_error
from adaptwin.live.server_metrics import server_metrics
from adaptwin.live.watched_server import Reading, WatchedServer

if TYPE_CHECKING:
    import aiohttp

Series = tuple[dict[str, str], list[tuple[float, float]]]  # labels, and values by unix seconds

_INSTANCE_LABELS = ("instance", "pod")  # that tell servers apart, the first that a metric has
_QUERY = '{{__name__=~"vllm:.+",__name__!~".+_(bucket|created)"}}[{seconds:.0f}s]'


class Prometheus:
    """A Prometheus server, or one with its HTTP API, that scrapes vLLM servers.

    Args:
        url: Address, with the path under which its API is, if any.
        session: Open session, which carries the key of the API.
        timeout: Seconds for an answer.
    """

    def __init__(self, url: str, session: "aiohttp.ClientSession", timeout: float = USUAL_TIMEOUT) -> None:
        self.url, self._session, self._timeout = url, session, timeout

    async def answers(self) -> bool:
        """Whether the address is that of a Prometheus server; raises `ServerError` if nothing answers there."""
        return await self._says("/api/v1/status/buildinfo", '"success"') or await self._says("/-/healthy", "Healthy")

    async def watched(self, seconds: float) -> list[WatchedServer]:
        """Return what the servers that it scrapes said over the last seconds, as often as it scraped them.

        Raises:
            ServerError: It has no metrics of vLLM of this time.
        """
        text = await get_text(
            self._session, self.url, "/api/v1/query", self._timeout, {"query": _QUERY.format(seconds=seconds)}
        )
        try:
            found = watched_servers_of(json.loads(text), self.url)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ServerError("/api/v1/query has no answer in the form of Prometheus", self.url) from None
        if not found:
            raise ServerError(f"Prometheus has no metrics of vLLM of the last {seconds:g} s", self.url)
        return found

    async def query_range(self, query: str, start: float, end: float, step: float) -> list[Series]:
        """Return the series of a query: labels, and times with values, from `start` to `end` (unix seconds).

        Raises:
            ServerError: There is no answer, or none in the form of Prometheus.
        """
        fields = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        text = await get_text(self._session, self.url, "/api/v1/query_range", self._timeout, fields)
        try:
            return [
                (dict(series["metric"]), [(float(when), float(value)) for when, value in series.get("values", ())])
                for series in json.loads(text)["data"]["result"]
            ]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ServerError("/api/v1/query_range has no answer in the form of Prometheus", self.url) from None

    async def _says(self, path: str, word: str) -> bool:
        """Whether a page is there and has a word."""
        import aiohttp

        limit = aiohttp.ClientTimeout(total=self._timeout)
        with said_as_server_error(self.url, self._timeout):
            async with self._session.get(f"{self.url}{path}", timeout=limit, allow_redirects=False) as response:
                return response.status == 200 and word in await response.text(errors="replace")


def watched_servers_of(data: Any, url: str) -> list[WatchedServer]:
    """Return what each server said, by the matrix of an answer of Prometheus, in the order of the instances.

    All metrics of one scrape have the same time.
    """
    scrapes: dict[str, dict[float, list[MetricSample]]] = {}
    labels: dict[str, set[str]] = {}
    for series in data["data"]["result"]:
        metric = dict(series["metric"])
        instance = next((metric[label] for label in _INSTANCE_LABELS if label in metric), "")
        labels.setdefault(instance, set()).update(metric.values())
        for time, value in series["values"]:
            scrape = scrapes.setdefault(instance, {}).setdefault(float(time), [])
            scrape.append(MetricSample(metric["__name__"], metric, value))
    return [
        WatchedServer(
            name=instance or url,
            url=url,
            readings=tuple(
                Reading(time - min(by_time), server_metrics(samples)) for time, samples in sorted(by_time.items())
            ),
            labels=frozenset(labels[instance]),
        )
        for instance, by_time in sorted(scrapes.items())
    ]
