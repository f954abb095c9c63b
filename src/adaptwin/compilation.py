"""compile_missing: machine code, made once per installation by two processes, with progress.

Numba compiles a function when it is first called, on one core. Here the calls are known beforehand, as jobs. This
process does one job after the other; on a machine with several cores a second process takes jobs as well. Both leave
their machine code in the cache on disk, where the other one finds it.
"""

import gc
import importlib
import math
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock, Thread
from typing import Any, NamedTuple

from numba.core import event

from adaptwin.jit import is_cached
from adaptwin.progress import Progress, silent

STAGE = "compiling (once)"
_FUNCTION_DONE, _JOB_DONE = ".", "done"  # lines of the second process
_SPEED_LOOP = 20_000  # rounds of a loop that takes as long as compilation in proportion
_SPEED_LOOP_SECONDS = 0.0022  # of that loop on the machine where the seconds of the jobs were measured
_START_SECONDS = 1.0  # that the second process takes to start, before it compiles
_SECONDS_BETWEEN_LINES = 5.0
_SERVE = "from adaptwin.compilation import serve; serve()"


_done: set[str] = set()  # calls of jobs whose machine code is known to be there


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
        return self.call in _done or all(
            getattr(entry, "signatures", ()) or is_cached(entry) for entry in map(_named, self.entries)
        )


def compile_missing(jobs: Sequence[Job], progress: Progress = silent) -> None:
    """Do the jobs whose machine code is missing.

    Lines on stderr tell how far the work is, unless `progress` shows it on a terminal.
    """
    missing = sorted((job for job in jobs if not job.is_done), key=lambda job: -job.seconds)
    _done.update(job.call for job in jobs)
    if not missing:
        return
    if progress is silent or not sys.stderr.isatty():
        alone = sum(job.seconds for job in missing)
        progress = _Lines((alone / 2 + _START_SECONDS if _may_help(missing[1:]) else alone) * _slowness())
    with _no_collection():
        _work(deque(missing), _Meter(missing, progress))
        for job in missing:
            job.run()  # on disk by now, unless the second process has failed


def serve() -> None:
    """Do the jobs that are read from stdin, one per line; tell on stdout what is compiled."""
    lines, replies = sys.stdin, sys.stdout
    sys.stdout = sys.stderr  # nothing else must get between the replies

    def reply(line: str) -> None:
        print(line, file=replies, flush=True)

    with _no_collection(), _counted(lambda: reply(_FUNCTION_DONE)):
        for line in lines:
            _named(line.strip())()
            reply(_JOB_DONE)


def _work(jobs: deque[Job], meter: "_Meter") -> None:
    """Do all jobs here and in a second process, each of which takes the next job when it has finished one."""
    first = jobs.popleft()
    helper = Thread(target=_have_done_elsewhere, args=(jobs, meter), daemon=True)
    if _may_help(jobs):
        helper.start()
    job: Job | None = first
    while job:
        with _counted(lambda job=job: meter.function_done(job)):  # type: ignore[misc]
            job.run()
        meter.job_done(job)
        job = _next_job(jobs)
    if helper.ident:
        helper.join()


def _have_done_elsewhere(jobs: deque[Job], meter: "_Meter") -> None:
    """Let a second process do jobs until there are none; what it fails to do is left to this process."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with (
        suppress(OSError),
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-c", _SERVE],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process,
    ):
        assert process.stdin
        assert process.stdout
        while job := _next_job(jobs):
            print(job.call, file=process.stdin, flush=True)
            for line in process.stdout:
                if line.strip() == _JOB_DONE:
                    break
                meter.function_done(job)
            meter.job_done(job)
        process.stdin.close()


class _Meter:
    """How much is compiled, reported in hundredths of the whole. Two threads count; each job is counted by one."""

    def __init__(self, jobs: Sequence[Job], progress: Progress) -> None:
        self.total = sum(job.seconds for job in jobs)
        self._progress = progress
        self._done = {job.call: 0.0 for job in jobs}
        self._reported = -1
        self._lock = Lock()
        self._report()

    def function_done(self, job: Job) -> None:
        self._done[job.call] = min(job.seconds, self._done[job.call] + job.seconds / job.functions)
        self._report()

    def job_done(self, job: Job) -> None:
        self._done[job.call] = job.seconds
        self._report()

    def _report(self) -> None:
        with self._lock:
            done = math.floor(100 * sum(self._done.values()) / self.total + 1e-9)
            if done > self._reported:
                self._reported = done
                self._progress(STAGE, done, 100)


class _Lines:
    """Progress as lines on stderr: an estimate at once, how long it really takes after some seconds, and the end."""

    def __init__(self, expected: float) -> None:
        self._started = self._said = time.perf_counter()
        self._say(f"compiling for this machine, once per installation (about {max(1.0, expected):.0f} s) ...")

    def __call__(self, _stage: str, done: int, total: int) -> None:
        """Say how long it will take if nothing was said for a while, or how long it took."""
        now = time.perf_counter()
        if done == total:
            self._say(f"compiled in {now - self._started:.0f} s")
        elif done and now - self._said > _SECONDS_BETWEEN_LINES:
            left = (now - self._started) * (total - done) / done
            self._said = now
            self._say(f"compiling: {100 * done / total:.0f} %, about {left:.0f} s to go")

    def _say(self, text: str) -> None:
        print(f"adaptwin: {text}", file=sys.stderr, flush=True)


class _Listener(event.Listener):
    """Calls a function for each function of adaptwin that Numba has compiled."""

    def __init__(self, told: Callable[[], None]) -> None:
        self._told = told

    def on_start(self, event: Any) -> None:
        """Nothing is compiled yet."""

    def on_end(self, event: Any) -> None:
        """Tell that a function is compiled, if it is one of adaptwin's."""
        if event.data["dispatcher"].py_func.__module__.startswith("adaptwin."):
            self._told()


@contextmanager
def _counted(told: Callable[[], None]) -> Iterator[None]:
    """Call `told` for each function of adaptwin that is compiled meanwhile."""
    listener = _Listener(told)
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


def _may_help(jobs: Sequence[Job]) -> bool:
    """Whether a second process can be started and has something to do."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return bool(jobs) and cores > 1 and bool(sys.executable) and not getattr(sys, "frozen", False)


def _next_job(jobs: deque[Job]) -> Job | None:
    with suppress(IndexError):
        return jobs.popleft()
    return None


def _slowness() -> float:
    """By what factor Python is slower here than where the seconds of the jobs were measured."""
    return min(_loop_seconds() for _ in range(5)) / _SPEED_LOOP_SECONDS


def _loop_seconds() -> float:
    started, seen = time.perf_counter(), {}
    for i in range(_SPEED_LOOP):
        seen[f"{i & 255}"] = isinstance(i, int)
    return time.perf_counter() - started


def _named(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)
