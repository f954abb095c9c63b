"""job_process: a process that makes plans, one after another, and ends with the server that started it."""

import multiprocessing
import os
import threading
from multiprocessing import connection, parent_process
from typing import Any, NamedTuple

from adaptwin.errors import Infeasible, OutOfMemory, SpecError
from adaptwin.web.job import Failure, Result, Stage


class Told(NamedTuple):
    """What the process tells the server about its job: how far it is, its result, or why it failed."""

    stage: Stage | None = None
    result: Result | None = None
    failure: Failure | None = None


def make_plans(pipe: connection.Connection) -> None:
    """Make the plan of each request that comes through the pipe, until it is closed."""
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    if "fork" in multiprocessing.get_all_start_methods():
        # Semaphores, which pools of threads make, then have no name that a killed process would leave behind.
        multiprocessing.set_start_method("fork", force=True)
    while True:
        try:
            request: dict[str, Any] = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(_answer(request, pipe))


def _end_with_the_server() -> None:
    server = parent_process()
    if server is not None:
        connection.wait([server.sentinel])
        os._exit(1)


def _answer(request: dict[str, Any], pipe: connection.Connection) -> Told:
    from adaptwin.web.make_result import make_result

    try:
        return Told(
            result=make_result(request, lambda name, done, total: pipe.send(Told(stage=Stage(name, done, total))))
        )
    except (Infeasible, OutOfMemory) as error:
        return Told(failure=Failure("", str(error), "infeasible"))
    except SpecError as error:
        return Told(failure=Failure(error.field, error.message, "input"))
    except Exception as error:  # the queue goes on whatever happens to one job
        return Told(failure=Failure("", f"{type(error).__name__}: {error}", "fault"))
