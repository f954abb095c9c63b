"""replay: send the traffic of a fleet or a plan to running servers, and report what they did."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from adaptwin.errors import SpecError
from adaptwin.live.answer import TakenAnswer
from adaptwin.live.applying.followed_servers import FollowedServers
from adaptwin.live.applying.running_fleet import connected
from adaptwin.live.applying.server_access import ServerAccess
from adaptwin.live.connection import USUAL_TIMEOUT, in_event_loop, session_with
from adaptwin.live.figures import client_complaint, client_figures, server_figures
from adaptwin.live.listed_models import ListedModels, require_served
from adaptwin.live.open_loop import AskedServer, OpenLoop, Sent
from adaptwin.live.prompts import Prompts, RandomPrompts
from adaptwin.live.replayed import Client, Replayed, ReplayedRun
from adaptwin.live.traffic import ServerTraffic
from adaptwin.live.vllm_server import VllmServer
from adaptwin.progress import Progress, silent
from adaptwin.twin.compilation import compile_client
from adaptwin.twin.scenario import longest_warmup
from adaptwin.visible import visible

Routing = Literal["one server", "plan", "round-robin", "routes file"]
STALLED_AFTER = 600.0  # seconds without a token: requests of starving adapters wait for minutes
SAMPLE_EVERY = 2.0


class Followed(NamedTuple):
    """Servers behind a routes file."""

    routes: Path
    access: Mapping[str, ServerAccess]  # by name of the server


def replay(
    traffic: Sequence[ServerTraffic],
    *,
    routing: Routing = "one server",
    window: Literal["cut", "drain"] = "cut",
    warmup: float = 0.0,
    max_in_flight: int | None = None,
    timeout: float = STALLED_AFTER,
    sample_every: float = SAMPLE_EVERY,
    prompts: Prompts | None = None,
    followed: Followed | None = None,
    api_key: str | None = None,
    progress: Progress = silent,
) -> Replayed:
    """Send traffic to running servers in real time, and return what they did.

    Requests are sent when they are due, however many are open, and ask for answers of exactly the drawn length. If a
    server dies on the way, the results are those up to then, and `Replayed.ended_early` says why.

    Args:
        traffic: The requests of each server, all with one duration; see `traffic_of_fleet` and `traffic_of_plan`.
        routing: How the requests were divided between the servers.
        window: ``"cut"`` gives up what is not answered after the last arrival, ``"drain"`` waits for all answers.
        warmup: Seconds at the start that rates, latencies and verdicts leave out.
        max_in_flight: Requests that may be open at all servers together; further ones wait. None: any number.
        timeout: Seconds without anything from the server after which a request has failed.
        sample_every: Seconds between samples of ``/metrics``.
        prompts: Prompts to send; None: random tokens.
        followed: Servers behind a routes file that all requests follow; None: those of the traffic.
        api_key: Key that the servers ask for.
        progress: Called with the number of requests sent.

    Raises:
        ServerError: A server cannot be reached at the start, or does not serve one of the adapters.
    """
    return Replaying(
        traffic,
        routing=routing,
        window=window,
        warmup=warmup,
        max_in_flight=max_in_flight,
        timeout=timeout,
        sample_every=sample_every,
        prompts=prompts,
        followed=followed,
        api_key=api_key,
    ).run(progress)


class Replaying:
    """A replay that can be asked for its results at any time; see `replay` for the arguments."""

    def __init__(
        self,
        traffic: Sequence[ServerTraffic],
        *,
        routing: Routing = "one server",
        window: Literal["cut", "drain"] = "cut",
        warmup: float = 0.0,
        max_in_flight: int | None = None,
        timeout: float = STALLED_AFTER,
        sample_every: float = SAMPLE_EVERY,
        prompts: Prompts | None = None,
        followed: Followed | None = None,
        api_key: str | None = None,
    ) -> None:
        duration = traffic[0].workload.duration
        if not 0 <= warmup <= longest_warmup(duration):
            raise SpecError(f"{warmup:g} must be from 0 to {longest_warmup(duration):.9g}", "warmup")
        self._traffic, self._routing, self._window, self._warmup = traffic, routing, window, warmup
        self._api_key, self._followed = api_key, followed
        self._started = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        self._served: list[tuple[ListedModels, str | None]] = []
        self._loop = OpenLoop(
            sent=[],
            duration=duration,
            drain=window == "drain",
            prompts=prompts
            or RandomPrompts(time.time_ns()),  # new ones, as a prefix cache holds those of the last replay
            max_in_flight=max_in_flight,
            timeout=timeout,
            sample_every=sample_every,
        )

    def run(self, progress: Progress = silent) -> Replayed:
        """Send everything and return the results; raises `ServerError` if a server cannot be used at the start."""
        compile_client(progress)  # before, so that results can be had at once if the replay is interrupted
        in_event_loop(lambda: self._work(progress))
        return self._results()

    def so_far(self, why: str) -> Replayed | None:
        """Return the results up to now, as those of a replay that ended early; None if nothing was sent yet."""
        if not self._loop.started:
            return None
        if not self._loop.ended:
            self._loop.stop_clock(why)
        return self._results()

    async def _work(self, progress: Progress) -> None:
        async with self._servers() as servers:
            for server, each in zip(servers, self._traffic, strict=True):
                self._served.append((await server.models(), await server.version()))
                self._loop.sent = [*self._loop.sent, _prepared(each, self._served[-1][0])]
            await self._loop.run(servers, progress)

    @asynccontextmanager
    async def _servers(self) -> AsyncIterator[Sequence[AskedServer]]:
        """Open the servers, one for each part of the traffic."""
        if self._followed:
            async with connected(self._followed.access, self._api_key) as servers:
                yield [FollowedServers(self._followed.routes, servers, self._traffic[0].seed)]
            return
        async with session_with(self._api_key) as session:
            patience = min(USUAL_TIMEOUT, self._loop.timeout)
            yield [VllmServer(each.url, session, patience) for each in self._traffic]

    def _results(self) -> Replayed:
        loop = self._loop
        client = Client(
            late_p99=max(0.0, loop.late_p99),
            late_most=max(0.0, max(loop.late, default=0.0)),
            busy=loop.busy,
            max_in_flight=loop.max_in_flight,
            most_in_flight=loop.most_in_flight,
            complaint=client_complaint(loop),
        )
        runs = tuple(self._run_of(*each) for each in zip(loop.sent, self._served, strict=True))
        return Replayed(
            routing=self._routing, started=self._started, client=client, ended_early=loop.ended_early, runs=runs
        )

    def _run_of(self, sent: Sent, served: tuple[ListedModels, str | None]) -> ReplayedRun:
        traffic, (models, version) = sent.traffic, served
        figures = client_figures(self._loop, sent, self._window, self._warmup)
        return ReplayedRun(
            name=traffic.name,
            url=traffic.url,
            profile=traffic.profile,
            server=traffic.server,
            workload=traffic.workload,
            draws_own_requests=self._routing != "round-robin",
            base_model=visible(models.base.name),
            vllm_version=version,
            seed=traffic.seed,
            sample_every=self._loop.sample_every,
            **figures,
            **server_figures(sent, self._warmup, figures["duration"]),
        )


def _prepared(traffic: ServerTraffic, models: ListedModels) -> Sent:
    """Return the record of what is sent to a server; raises `ServerError` if it does not serve an adapter."""
    adapters = traffic.workload.adapters
    require_served([adapter.name for adapter in adapters if adapter.rank], models, traffic.url)
    names = [adapter.name if adapter.rank else models.base.name for adapter in adapters]
    return Sent(traffic, names, [TakenAnswer() for _ in traffic.requests.arrival])
