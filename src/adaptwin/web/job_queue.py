"""JobQueue: jobs in turn of the people who asked for them, a few at a time, each in a process that can be stopped."""

import multiprocessing
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any

from adaptwin.visible import visible
from adaptwin.web.job import Failure, Job, Result, Stage
from adaptwin.web.job_process import Told, make_plans
from adaptwin.web.job_store import JobStore

_LOOK_EVERY = 0.1  # seconds, for a job that is to stop
_WRITE_STAGE_EVERY = 0.2  # seconds

Work = Callable[[connection.Connection], None]


class JobQueue:
    """Runs the jobs of a store. Each turn goes to the client whose last turn is the longest ago."""

    def __init__(
        self, store: JobStore, workers: int, most_seconds: float, work: Work = make_plans, most_kept: int = 1000
    ) -> None:
        """Use a store; `work` is what each process does with the requests that come through its pipe.

        A job takes `most_seconds` at most, and the newest `most_kept` of those that have ended are kept.
        """
        self._store, self._most_seconds, self._work_of_processes = store, most_seconds, work
        self._most_kept = most_kept
        self._changed = threading.Condition()
        self._last_turn: dict[str, float] = {}  # by client
        self._closing = False
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]

    def start(self) -> None:
        """Start to work."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Look for jobs: one was added or cancelled."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Stop; jobs that are running will run again when the store is opened the next time."""
        self._closing = True
        self.wake()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _work(self) -> None:
        worker = _Worker(self._work_of_processes)
        try:
            while (job := self._next()) is not None:
                self._run(worker, job)
                self._store.keep(self._most_kept)
        finally:
            worker.stop()

    def _next(self) -> Job | None:
        """Return the next job, which is then running; None when the queue closes."""
        with self._changed:
            while not self._closing:
                first_of_each: dict[str, Job] = {}
                for job in self._store.queued():
                    first_of_each.setdefault(job.client, job)
                for job in sorted(
                    first_of_each.values(), key=lambda each: (self._last_turn.get(each.client, 0.0), each.created)
                ):
                    self._last_turn[job.client] = time.monotonic()
                    if self._store.begin(job.id):
                        return job
                self._changed.wait(1.0)
        return None

    def _run(self, worker: "_Worker", job: Job) -> None:
        deadline, written = time.monotonic() + self._most_seconds, 0.0
        worker.send(job.request)
        while not self._closing:
            told = worker.told(_LOOK_EVERY)
            now = time.monotonic()
            if told is not None and told.stage is None:
                self._end(job, told)
                return
            if told is not None and told.stage is not None and now - written >= _WRITE_STAGE_EVERY:
                written = now
                self._store.at(job.id, Stage(visible(told.stage.name), told.stage.done, told.stage.total))
            if not worker.is_alive:
                self._store.fail(job.id, Failure("", "the process that planned has ended: too little memory?", "fault"))
                worker.stop()
                return
            if now > deadline:
                what = f"stopped after {self._most_seconds:,.0f} s, the longest that this server plans"
                self._store.fail(job.id, Failure("", what, "limit"))
                worker.stop()
                return
            current = self._store.job(job.id)
            if current is None or current.state != "running":  # it was cancelled
                worker.stop()
                return

    def _end(self, job: Job, told: Told) -> None:
        if isinstance(told.result, Result):
            self._store.finish(job.id, told.result)
        elif told.failure is not None:
            self._store.fail(job.id, told.failure)


class _Worker:
    """A process for jobs, which is started when it is needed."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._process: BaseProcess | None = None
        self._pipe: connection.Connection | None = None

    def send(self, request: dict[str, Any]) -> None:
        """Give the process a job."""
        if self._process is None or not self._process.is_alive():
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=self._work, args=(theirs,), daemon=False)
            self._process.start()
            theirs.close()
        assert self._pipe is not None
        with suppress(OSError):  # it has ended already, which `is_alive` tells
            self._pipe.send(request)

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.is_alive()

    def told(self, seconds: float) -> Told | None:
        """Return what the process tells next, waiting for so many seconds; None if it tells nothing."""
        assert self._pipe is not None
        try:
            if not self._pipe.poll(seconds):
                return None
            found = self._pipe.recv()
        except (EOFError, OSError):
            return None
        return found if isinstance(found, Told) else None

    def stop(self) -> None:
        """Stop the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
