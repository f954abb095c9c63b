"""Worker: a process that does one job after another, and that can be stopped at any moment."""

import multiprocessing
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.process import BaseProcess

from adaptwin.web.job import WorkOrder
from adaptwin.web.job_process import Told

Work = Callable[[connection.Connection], None]


class Worker:
    """A process for jobs, which is started when it is needed. Its temporary files are in a folder that ends with it."""

    def __init__(self, work: Work) -> None:
        """Use a process that does `work` with the orders that come through its pipe."""
        self._work = work
        self._process: BaseProcess | None = None
        self._pipe: connection.Connection | None = None
        self._folder = ""

    def send(self, order: WorkOrder) -> None:
        """Give the process a job."""
        if not self.is_alive:
            self.stop()
            self._start()
        assert self._pipe is not None
        with suppress(OSError):  # it has ended already, which `is_alive` tells
            self._pipe.send(order)

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
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = ""

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._folder = tempfile.mkdtemp(prefix="adaptwin-web-")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work_in, args=(self._folder, self._work, theirs))
        self._process.start()
        theirs.close()


def _work_in(folder: str, work: Work, pipe: connection.Connection) -> None:
    """Work, with temporary files in a folder, and end with the server that started this process."""
    tempfile.tempdir = folder
    threading.Thread(target=_end_with_the_server, args=(folder,), daemon=True).start()
    work(pipe)


def _end_with_the_server(folder: str) -> None:
    server = multiprocessing.parent_process()
    assert server is not None
    connection.wait([server.sentinel])
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
