"""compile_missing: machine code, made once per installation by two processes, with progress.

Numba compiles a function when it is first called, on one core. Here the calls are known beforehand, as jobs. This
process does one job after the other; on a machine with several cores a second process takes jobs as well. Both leave
their machine code in the cache on disk, where the other one finds it.
"""

import gc
import importlib
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from threading import Thread
from typing import Any, NamedTuple

from numba.core import event

from adaptwin.compilation_progress import Meter, ProgressLines, slowness
from adaptwin.interruption import tidied_by
from adaptwin.jit import is_cached
from adaptwin.progress import Progress, silent
from adaptwin.terminals import can_redraw

_FUNCTION_DONE, _JOB_DONE = ".", "done"  # lines of the second process
_START_SECONDS = 1.0  # that the second process takes to start, before it compiles
_SERVE = "from adaptwin.compilation import serve; serve()"
_known_done: set[str] = set()  # calls of jobs whose machine code was there when last looked


class Job(NamedTuple):
    """A call that compiles functions."""

    call: str  # module and function, such as "adaptwin.twin.compilation:compile_kernel"
    entries: tuple[str, ...]  # functions called from Python, named likewise, whose machine code the job leaves
    functions: int  # of adaptwin that are compiled
    seconds: float  # on one core of the machine where it was measured: the share of the job in the progress

    def run(self) -> None:
        """Make the call; machine code that is on disk is loaded instead of compiled."""
        _named(self.call)()

    @property
    def is_done(self) -> bool:
        """Whether the machine code of all entries is on disk or in memory."""
        return self.call in _known_done or all(
            getattr(entry, "signatures", ()) or is_cached(entry) for entry in map(_named, self.entries)
        )

    @property
    def is_on_disk(self) -> bool:
        """Whether the machine code of all entries is on disk, for the next process to load."""
        return all(map(is_cached, map(_named, self.entries)))


def compile_missing(jobs: Sequence[Job], progress: Progress = silent) -> None:
    """Do the jobs whose machine code is missing.

    Lines on stderr tell how far the work is, unless `progress` shows it on a terminal.
    """
    missing = sorted((job for job in jobs if not job.is_done), key=lambda job: -job.seconds)
    if missing:
        if progress is silent or not can_redraw(sys.stderr):
            progress = ProgressLines(_estimated_seconds(missing))
        with _no_collection():
            _compile(missing, Meter({job.call: job.seconds for job in missing}, progress))
    _known_done.update(job.call for job in jobs)


def serve() -> None:
    """Do the jobs that are read from stdin, one per line; tell on stdout what is compiled."""
    lines, replies = sys.stdin, sys.stdout
    sys.stdout = sys.stderr  # nothing else must get between the replies

    def reply(line: str) -> None:
        print(line, file=replies, flush=True)

    with _no_collection(), _counted(partial(reply, _FUNCTION_DONE)):
        for line in lines:
            _named(line.strip())()
            reply(_JOB_DONE)


def _compile(jobs: Sequence[Job], meter: Meter) -> None:
    """Do all jobs here and in a second process, each of which takes the next job when it has finished one."""
    here, queue = jobs[0], deque(jobs[1:])
    helper = _SecondProcess(queue, meter)
    try:
        with tidied_by(helper.stop):
            if _can_share(queue):
                helper.start()
            _compile_here([here], meter)
            _compile_here(_taken_from(queue), meter)
            helper.join()
        _compile_here(_taken_from(queue), meter)  # what the second process has failed to do
        for job in jobs:
            job.run()  # loads what the second process has compiled
    finally:
        queue.clear()
        helper.stop()


def _compile_here(jobs: Sequence[Job] | Iterator[Job], meter: Meter) -> None:
    for job in jobs:
        with _counted(partial(meter.advance, job.call, job.seconds / job.functions)):
            job.run()
        meter.finish(job.call)


class _SecondProcess:
    """A thread that has jobs done by a second process until there are none.

    A job that the process fails to do goes back to the queue.
    """

    def __init__(self, queue: deque[Job], meter: Meter) -> None:
        self._queue, self._meter = queue, meter
        self._process: subprocess.Popen[str] | None = None
        self._thread = Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Start to take jobs from the queue."""
        with suppress(OSError):
            self._process = _second_process()
            self._thread.start()

    def join(self) -> None:
        """Wait until the process has ended."""
        if self._thread.ident:
            self._thread.join()

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        if self._process:
            self._process.kill()

    def _work(self) -> None:
        assert self._process
        with self._process as process:
            for job in _taken_from(self._queue):
                if not _is_done_by(process, job, self._meter):
                    self._queue.append(job)
                    return
            assert process.stdin
            process.stdin.close()


def _is_done_by(process: "subprocess.Popen[str]", job: Job, meter: Meter) -> bool:
    """Send a job to the second process; return whether it was done."""
    assert process.stdin
    assert process.stdout
    with suppress(OSError):  # the process has ended
        print(job.call, file=process.stdin, flush=True)
        for line in process.stdout:
            if line.strip() == _JOB_DONE:
                meter.finish(job.call)
                return True
            meter.advance(job.call, job.seconds / job.functions)
    return False


def _second_process() -> "subprocess.Popen[str]":
    """Start an interpreter that imports the same modules and waits for jobs."""
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-c", _SERVE],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C in a terminal is for this process, which then ends the other one
    )


def _taken_from(queue: deque[Job]) -> Iterator[Job]:
    """Take jobs from the queue until it is empty; two threads may take at once."""
    with suppress(IndexError):
        while True:
            yield queue.popleft()


def _can_share(jobs: Sequence[Job]) -> bool:
    """Whether a second process can be started and has something to do."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return bool(jobs) and cores > 1 and bool(sys.executable) and not getattr(sys, "frozen", False)


def _estimated_seconds(jobs: Sequence[Job]) -> float:
    alone = sum(job.seconds for job in jobs)
    return slowness() * (alone / 2 + _START_SECONDS if _can_share(jobs[1:]) else alone)


class _Listener(event.Listener):
    """Calls a function for each function of adaptwin that Numba has compiled."""

    def __init__(self, on_function: Callable[[], None]) -> None:
        self._on_function = on_function

    def on_start(self, event: Any) -> None:
        """Nothing is compiled yet."""

    def on_end(self, event: Any) -> None:
        """Count a compiled function, if it is one of adaptwin's."""
        if event.data["dispatcher"].py_func.__module__.startswith("adaptwin."):
            self._on_function()


@contextmanager
def _counted(on_function: Callable[[], None]) -> Iterator[None]:
    """Call `on_function` for each function of adaptwin that is compiled meanwhile."""
    listener = _Listener(on_function)
    event.register("numba:compile", listener)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        event.unregister("numba:compile", listener)  # type: ignore[no-untyped-call]


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection: Numba makes millions of objects that live on, and looking through them takes an eighth."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _named(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)
