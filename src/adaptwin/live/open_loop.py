"""OpenLoop: send requests at the times at which they are due, whatever the servers do, and note their answers."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from adaptwin.errors import AdaptwinError, ServerError
from adaptwin.live.answer import TakenAnswer, completion_fields, take_answer
from adaptwin.live.applying.followed_servers import FollowedServers
from adaptwin.live.prompts import Prompts
from adaptwin.live.server_metrics import ServerMetrics
from adaptwin.live.traffic import ServerTraffic
from adaptwin.live.vllm_server import VllmServer
from adaptwin.progress import Progress
from adaptwin.visible import visible
from adaptwin.workload.drawing.requests import NANOSECONDS

AskedServer = VllmServer | FollowedServers

MOST_MISSED_SAMPLES = 3  # in a row, after which a server is taken for dead
FAILURES_THAT_END = 20  # requests in a row, likewise


@dataclass
class InARow:
    """Failures at a server since it last answered."""

    count: int = 0
    since: int = 0  # on the clock of `time.perf_counter_ns`

    def note(self, *, has_failed: bool) -> None:
        """Note one answer, or that there was none."""
        if has_failed and not self.count:
            self.since = time.perf_counter_ns()
        self.count = self.count + 1 if has_failed else 0


@dataclass
class Sent:
    """What was sent to one server and came back: an answer for each request, and samples of its metrics."""

    traffic: ServerTraffic
    model_names: list[str]  # by adapter
    answers: list[TakenAnswer]
    samples: list[tuple[float, ServerMetrics]] = field(default_factory=list)  # seconds since the start, what it said
    first_metrics: ServerMetrics | None = None
    last_metrics: ServerMetrics | None = None
    failed_requests: InARow = field(default_factory=InARow)
    missed_samples: InARow = field(default_factory=InARow)

    def fails_all(self) -> bool:
        """Whether many requests in a row failed, and no other request that was sent before them has had a token since.

        A server that has lost an adapter fails its requests at once, while those of the others wait for their last
        token. One that breaks off each answer sends tokens, too.
        """
        row = self.failed_requests
        return self._goes_on(row, FAILURES_THAT_END, (each for each in self.answers if each.sent < row.since))

    def is_silent(self) -> bool:
        """Whether several samples in a row were missed and no token came since; an overloaded server misses some."""
        return self._goes_on(self.missed_samples, MOST_MISSED_SAMPLES, self.answers)

    def _goes_on(self, row: InARow, limit: int, others: Iterable[TakenAnswer]) -> bool:
        """Whether a row of failures is long; it ends if one of the other answers has had a token since."""
        if row.count >= limit and any(answer.latest > row.since and not answer.error for answer in others):
            row.note(has_failed=False)
        return row.count >= limit


@dataclass
class OpenLoop:
    """One replay: its servers, its clock and its limits. `run` sends everything; what was noted stays if it ends early.

    Attributes:
        sent: What is sent to each server.
        duration: Seconds of arrivals.
        drain: Whether to wait for all answers; else those that are not complete at the end are given up.
        prompts: Where prompts come from.
        max_in_flight: Requests to all servers together that may be open; None: any number.
        timeout: Seconds in which a server must send something.
        sample_every: Seconds between samples of the metrics.
    """

    sent: Sequence[Sent]
    duration: float
    drain: bool
    prompts: Prompts
    max_in_flight: int | None
    timeout: float
    sample_every: float
    started: int = 0  # on the clock of `time.perf_counter_ns`
    ended: int = 0
    ended_early: str = ""
    late: list[float] = field(default_factory=list)  # seconds, of each request that did not wait for a connection
    busy: float = 0.0  # processor time over the time of the run
    worked: float = 0.0  # processor time of the process before the start
    in_flight: int = 0
    most_in_flight: int = 0

    async def run(self, servers: Sequence[AskedServer], progress: Progress) -> None:
        """Send all requests to these servers and take their answers."""
        for sent, metrics in zip(self.sent, await _metrics_now(servers), strict=True):
            sent.first_metrics = metrics
        self.worked, self.started = time.process_time(), time.perf_counter_ns()
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        senders = asyncio.create_task(self._send_all(servers, progress, failed))
        samplers = [
            asyncio.create_task(self._sample(sent, server)) for sent, server in zip(self.sent, servers, strict=True)
        ]
        work_to_do = (senders, failed, *samplers)
        try:
            done, _ = await asyncio.wait(work_to_do, return_when=asyncio.FIRST_COMPLETED)
            self._note_end(senders if senders in done else done.pop())
        finally:
            self.stop_clock()
            for each in work_to_do:
                each.cancel()
            await asyncio.gather(*work_to_do, return_exceptions=True)
        for sent, metrics in zip(self.sent, await _metrics_now(servers), strict=True):
            sent.last_metrics = metrics

    def stop_clock(self, why: str = "") -> None:
        """Note that the replay ends now, and why if that is before its time."""
        self.ended, self.ended_early = time.perf_counter_ns(), self.ended_early or why
        self.busy = (time.process_time() - self.worked) / max(1e-9, (self.ended - self.started) / NANOSECONDS)

    def _note_end(self, done: "asyncio.Future[None]") -> None:
        """Note which server is dead, if that is why the replay ends."""
        error = done.exception()
        if isinstance(error, ServerError):
            self.ended_early = visible(str(error))
        elif error:
            raise error

    async def _send_all(
        self, servers: Sequence[AskedServer], progress: Progress, failed: "asyncio.Future[None]"
    ) -> None:
        """Send every request when it is due, and wait for the answers or the end of the window.

        What is raised by one of them goes to `failed`.
        """
        due = sorted(
            (int(arrival), place, number)
            for place, sent in enumerate(self.sent)
            for number, arrival in enumerate(sent.traffic.requests.arrival)
        )
        seats = asyncio.Semaphore(self.max_in_flight) if self.max_in_flight else None
        tasks: set[asyncio.Task[None]] = set()
        try:
            for count, (arrival, place, number) in enumerate(due):
                await self._sleep_until(arrival)
                task = asyncio.create_task(self._ask(servers[place], self.sent[place], number, arrival, seats))
                tasks.add(task)
                task.add_done_callback(lambda done: _drop(done, tasks, failed))
                if count % 16 == 0:
                    progress("sending requests", count, len(due))
            progress("sending requests", len(due), len(due))
            await self._sleep_until(round(self.duration * NANOSECONDS))
            while self.drain and tasks:
                progress("waiting for answers", len(due) - len(tasks), len(due))
                await asyncio.wait(tasks, timeout=1.0)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(
        self, server: AskedServer, sent: Sent, number: int, arrival: int, seats: asyncio.Semaphore | None
    ) -> None:
        """Send one request, once there is a connection for it, and take its answer."""
        has_seat = seats is None or not seats.locked()
        if seats:
            await seats.acquire()
        if has_seat:
            self.late.append((time.perf_counter_ns() - self.started - arrival) / NANOSECONDS)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            requests, answer = sent.traffic.requests, sent.answers[number]
            prompt = self.prompts.prompt(number, int(requests.input[number]), requests.prefixes)
            model = sent.model_names[int(requests.adapter[number])]
            fields = completion_fields(model, prompt, int(requests.output[number]))
            await self._take(server, sent.traffic.workload.adapters[int(requests.adapter[number])].name, fields, answer)
        finally:
            self.in_flight -= 1
            if seats:
                seats.release()
        sent.failed_requests.note(has_failed=bool(answer.error) and not answer.is_rejected)
        if sent.fails_all():
            what = f"{sent.failed_requests.count} requests in a row failed, the last one: {answer.error}"
            raise ServerError(what, server.url)

    async def _take(self, server: AskedServer, adapter: str, fields: dict[str, object], answer: TakenAnswer) -> None:
        """Send a request to a server, or to the one that takes an adapter's requests now, and take its answer."""
        try:
            target = server.server_for(adapter) if isinstance(server, FollowedServers) else server
        except AdaptwinError as error:
            answer.sent, answer.error = time.perf_counter_ns(), str(error)
            return
        await take_answer(target.session, target.url, fields, answer, self.timeout)

    async def _sample(self, sent: Sent, server: AskedServer) -> None:
        """Read the metrics of a server again and again, or its models if it has none.

        Raises:
            ServerError: The server is dead.
        """
        while True:
            await asyncio.sleep(self.sample_every)
            try:
                found = await (server.metrics() if sent.first_metrics else server.models())
            except ServerError:
                sent.missed_samples.note(has_failed=True)
                if sent.is_silent():
                    raise
            else:
                sent.missed_samples.note(has_failed=False)
                if isinstance(found, ServerMetrics):
                    sent.samples.append(((time.perf_counter_ns() - self.started) / NANOSECONDS, found))

    async def _sleep_until(self, nanoseconds: int) -> None:
        """Sleep until a time since the start; other tasks get their turn at least once."""
        await asyncio.sleep(max(0.0, (self.started + nanoseconds - time.perf_counter_ns()) / NANOSECONDS))

    @property
    def late_p99(self) -> float:
        """99th percentile of how late requests were sent, in seconds."""
        return float(np.percentile(self.late, 99)) if self.late else 0.0


def _drop(task: "asyncio.Task[None]", tasks: "set[asyncio.Task[None]]", failed: "asyncio.Future[None]") -> None:
    tasks.discard(task)
    if not task.cancelled() and (error := task.exception()) and not failed.done():
        failed.set_exception(error)


async def _metrics_now(servers: Sequence[AskedServer]) -> list[ServerMetrics | None]:
    """Return what the metrics of each server say now; None for a server that does not answer."""

    async def ask(server: AskedServer) -> ServerMetrics | None:
        try:
            return await server.metrics()
        except ServerError:
            return None

    return await asyncio.gather(*(ask(server) for server in servers))
