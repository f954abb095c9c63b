"""Progress of compilation: how much of several jobs is done, as a report or as lines on stderr."""

import math
import sys
import time
from collections.abc import Mapping
from threading import Lock

from adaptwin.progress import Progress
from adaptwin.visible import visible

STAGE = "compiling (once)"
_SPEED_LOOP = 20_000  # rounds of a loop in Python, as compilation is mostly Python
_SPEED_LOOP_SECONDS = 0.0022  # of that loop on the machine where the seconds of the jobs were measured
_SECONDS_BETWEEN_LINES = 5.0


class Meter:
    """The seconds of work that are done, reported in hundredths of the whole, each once. Several threads may count."""

    def __init__(self, seconds: Mapping[str, float], progress: Progress) -> None:
        self._seconds, self._progress = seconds, progress
        self._done = dict.fromkeys(seconds, 0.0)
        self._reported = -1
        self._lock = Lock()
        self._report()

    def advance(self, job: str, seconds: float) -> None:
        """Count some seconds of work on a job as done."""
        with self._lock:
            self._done[job] = min(self._seconds[job], self._done[job] + seconds)
        self._report()

    def finish(self, job: str) -> None:
        """Count a job as done."""
        self.advance(job, self._seconds[job])

    def _report(self) -> None:
        with self._lock:
            done = math.floor(100 * sum(self._done.values()) / sum(self._seconds.values()) + 1e-9)
            if done > self._reported:
                self._reported = done
                self._progress(STAGE, done, 100)


class ProgressLines:
    """Progress as lines on stderr: an estimate at once, how long it really takes after some seconds, and the end."""

    def __init__(self, expected: float) -> None:
        self._started = self._said = time.perf_counter()
        say(f"compiling for this machine, once per installation (about {max(1.0, expected):.0f} s) ...")

    def __call__(self, _stage: str, done: int, total: int) -> None:
        """Say how long it will take if nothing was said for a while, or how long it took."""
        now = time.perf_counter()
        if done == total:
            say(f"compiled in {now - self._started:.0f} s")
        elif done and now - self._said > _SECONDS_BETWEEN_LINES:
            self._said = now
            left = (now - self._started) * (total - done) / done
            say(f"compiling: {100 * done / total:.0f} %, about {left:.0f} s to go")


def say(text: str) -> None:
    """Print a line on stderr, if there is one."""
    if sys.stderr is not None:
        print(f"adaptwin: {visible(text)}", file=sys.stderr, flush=True)


def slowness() -> float:
    """By what factor Python is slower here than where the seconds of the jobs were measured."""
    return min(_loop_seconds() for _ in range(5)) / _SPEED_LOOP_SECONDS


def _loop_seconds() -> float:
    started, seen = time.perf_counter(), {}
    for i in range(_SPEED_LOOP):
        seen[f"{i & 255}"] = isinstance(i, int)
    return time.perf_counter() - started
