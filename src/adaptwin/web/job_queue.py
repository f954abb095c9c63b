"""JobQueue: jobs in turn of the people who asked for them, a few at a time, each in a process that can be stopped."""

import sys
import threading
import time
import traceback
from contextlib import suppress

from adaptwin.visible import visible
from adaptwin.web.job import Failure, Stage, Waiting, WorkOrder
from adaptwin.web.job_process import Told, plan_orders
from adaptwin.web.job_store import JobStore
from adaptwin.web.settings import WebSettings
from adaptwin.web.turns import ClientTurns
from adaptwin.web.worker import Work, Worker

_LOOK_EVERY = 0.1  # seconds, for a job that is to stop
_WRITE_STAGE_EVERY = 0.2  # seconds
_PAUSE = 1.0  # seconds after something went wrong with the store or with a process


class JobQueue:
    """Runs the jobs of a store, in turns that go round the clients."""

    def __init__(self, store: JobStore, settings: WebSettings, work: Work = plan_orders) -> None:
        """Use a store; `work` is what each process does with the orders that come through its pipe."""
        self._store, self._settings, self._work_of_processes = store, settings, work
        self._changed = threading.Condition()
        self._turns = ClientTurns()
        self._closing = False
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(settings.workers)]

    def start(self) -> None:
        """Start to work."""
        for thread in self._threads:
            thread.start()

    @property
    def is_working(self) -> bool:
        """Whether jobs are begun."""
        return all(thread.is_alive() for thread in self._threads)

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
        worker = Worker(self._work_of_processes)
        try:
            while not self._closing:
                self._turn(worker)
        finally:
            worker.stop()

    def _turn(self, worker: Worker) -> None:
        """Do the next job. Whatever goes wrong with it, or with the store, the next turn comes."""
        job: Waiting | None = None
        try:
            job = self._next()
            if job is not None:
                self._run(worker, job)
                self._store.keep(self._settings.most_kept)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            worker.stop()
            time.sleep(_PAUSE)
            if job is not None:
                with suppress(Exception):  # the store still cannot be written: the job is begun again after a restart
                    self._store.fail(job.id, Failure("", f"{type(error).__name__}: {visible(str(error))}", "fault"))

    def _next(self) -> Waiting | None:
        """Return the next job, which is then running; None when the queue closes."""
        with self._changed:
            while not self._closing:
                for job in self._turns.order(self._store.waiting()):
                    if self._store.begin(job.id):
                        self._turns.took(job.client, time.time())
                        return job
                self._changed.wait(1.0)
        return None

    def _run(self, worker: Worker, job: Waiting) -> None:
        request = self._store.request(job.id)
        if request is None:  # it was cancelled and forgotten
            return
        most_seconds = self._settings.most_seconds
        deadline, written = time.monotonic() + most_seconds, 0.0
        worker.send(WorkOrder(request, self._settings.most_adapters))
        while not self._closing:
            told = worker.told(_LOOK_EVERY)
            now = time.monotonic()
            if told is None and not worker.is_alive:
                told = worker.told(0.0) or Told(
                    failure=Failure("", "the process that planned has ended: too little memory?", "fault")
                )
            if told is not None and told.stage is None:
                self._end(job, told)
                return
            if told is not None and told.stage is not None and now - written >= _WRITE_STAGE_EVERY:
                written = now
                self._store.at(job.id, Stage(visible(told.stage.name), told.stage.done, told.stage.total))
            if now > deadline:
                what = f"stopped after {most_seconds:,.0f} s, the longest that this server plans"
                self._store.fail(job.id, Failure("", what, "limit"))
                worker.stop()
                return
            if self._store.state(job.id) != "running":  # it was cancelled
                worker.stop()
                return

    def _end(self, job: Waiting, told: Told) -> None:
        if told.result is not None:
            self._store.finish(job.id, told.result)
        else:
            self._store.fail(job.id, told.failure or Failure("", "the process that planned told nothing", "fault"))
