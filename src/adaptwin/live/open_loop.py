"""OpenLoop: send requests at the times at which they are due, whatever the servers do, and note their answers."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from adaptwin.errors import ServerError
from adaptwin.live.answer import Answer, completion_fields, take_answer
from adaptwin.live.prompts import Prompts
from adaptwin.live.server_metrics import ServerMetrics
from adaptwin.live.traffic import Traffic
from adaptwin.live.vllm_server import VllmServer
from adaptwin.progress import Progress
from adaptwin.workload.drawing.requests import NANOSECONDS

MOST_MISSED_SAMPLES = 3  # scrapes in a row without an answer, after which a server is taken for dead
FAILURES_THAT_END = 20  # failed requests in a row


@dataclass
class Sent:
    """What was sent to one server and came back: an answer for each request, and samples of its metrics."""

    traffic: Traffic
    model_names: list[str]  # by adapter
    answers: list[Answer]
    samples: list[tuple[float, ServerMetrics]] = field(default_factory=list)  # seconds since the start, what it said
    first_metrics: ServerMetrics | None = None
    last_metrics: ServerMetrics | None = None
    failures: int = 0  # in a row


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
    busy: float = 0.0
    in_flight: int = 0
    most_in_flight: int = 0

    async def run(self, servers: Sequence[VllmServer], progress: Progress) -> None:
        """Send all requests to these servers and take their answers."""
        for sent, server in zip(self.sent, servers, strict=True):
            sent.first_metrics = await self._metrics(server)
        work, self.started = time.process_time(), time.perf_counter_ns()
        samplers = [
            asyncio.create_task(self._sample(sent, server))
            for sent, server in zip(self.sent, servers, strict=True)
            if sent.first_metrics is not None
        ]
        senders = asyncio.create_task(self._send_all(servers, progress))
        try:
            await self._until_the_end({senders, *samplers}, senders)
        finally:
            self.ended = time.perf_counter_ns()
            self.busy = (time.process_time() - work) / max(1e-9, (self.ended - self.started) / NANOSECONDS)
            for task in (senders, *samplers):
                task.cancel()
            await asyncio.gather(senders, *samplers, return_exceptions=True)
        for sent, server in zip(self.sent, servers, strict=True):
            sent.last_metrics = await self._metrics(server)

    async def _until_the_end(self, tasks: "set[asyncio.Task[None]]", senders: "asyncio.Task[None]") -> None:
        """Wait until everything is sent and answered; a server that is dead ends it early, and is named."""
        while not senders.done():
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                tasks.discard(task)
                if error := task.exception():
                    if not isinstance(error, ServerError):
                        raise error
                    self.ended_early = str(error)
                    return

    async def _send_all(self, servers: Sequence[VllmServer], progress: Progress) -> None:
        """Send every request when it is due, and wait for the answers or the end of the window."""
        due = sorted(
            (int(arrival), place, number)
            for place, sent in enumerate(self.sent)
            for number, arrival in enumerate(sent.traffic.requests.arrival)
        )
        seats = asyncio.Semaphore(self.max_in_flight) if self.max_in_flight else None
        tasks: set[asyncio.Task[None]] = set()
        failed: list[ServerError] = []
        try:
            for count, (arrival, place, number) in enumerate(due):
                await self._sleep_until(arrival)
                if failed:
                    raise failed[0]
                task = asyncio.create_task(self._ask(servers[place], self.sent[place], number, arrival, seats))
                tasks.add(task)
                task.add_done_callback(lambda done: _drop(done, tasks, failed))
                if count % 16 == 0:
                    progress("sending requests", count, len(due))
            progress("sending requests", len(due), len(due))
            await self._sleep_until(round(self.duration * NANOSECONDS))
            while self.drain and tasks:
                progress("waiting for answers", len(due) - len(tasks), len(due))
                await asyncio.wait(tasks, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
                if failed:
                    raise failed[0]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(
        self, server: VllmServer, sent: Sent, number: int, arrival: int, seats: asyncio.Semaphore | None
    ) -> None:
        """Send one request, once there is a connection for it, and take its answer."""
        if seats:
            await seats.acquire()
        else:
            self.late.append((time.perf_counter_ns() - self.started - arrival) / NANOSECONDS)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            requests, answer = sent.traffic.requests, sent.answers[number]
            prompt = self.prompts.prompt(number, int(requests.input[number]))
            model = sent.model_names[int(requests.adapter[number])]
            fields = completion_fields(model, prompt, int(requests.output[number]))
            await take_answer(server.session, server.url, fields, answer, self.timeout)
        finally:
            self.in_flight -= 1
            if seats:
                seats.release()
        sent.failures = sent.failures + 1 if answer.error and not answer.is_rejected else 0
        if sent.failures >= FAILURES_THAT_END:
            raise ServerError(f"{sent.failures} requests in a row failed, the last one: {answer.error}", server.url)

    async def _sample(self, sent: Sent, server: VllmServer) -> None:
        """Read the metrics of a server again and again; raises `ServerError` if it is dead."""
        missed = 0
        while True:
            await asyncio.sleep(self.sample_every)
            try:
                found = await server.metrics()
            except ServerError:
                missed += 1
                if missed >= MOST_MISSED_SAMPLES:
                    raise
            else:
                missed = 0
                sent.samples.append(((time.perf_counter_ns() - self.started) / NANOSECONDS, found))

    async def _metrics(self, server: VllmServer) -> ServerMetrics | None:
        try:
            return await server.metrics()
        except ServerError:
            return None

    async def _sleep_until(self, nanoseconds: int) -> None:
        """Sleep until a time since the start; other tasks get their turn at least once."""
        await asyncio.sleep(max(0.0, (self.started + nanoseconds - time.perf_counter_ns()) / NANOSECONDS))

    @property
    def late_p99(self) -> float:
        """99th percentile of how late requests were sent, in seconds."""
        return float(np.percentile(self.late, 99)) if self.late else 0.0


def _drop(task: "asyncio.Task[None]", tasks: "set[asyncio.Task[None]]", failed: list[ServerError]) -> None:
    tasks.discard(task)
    if not task.cancelled() and isinstance(error := task.exception(), ServerError):
        failed.append(error)
