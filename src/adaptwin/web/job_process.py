"""job_process: what a process does that makes plans, one after another."""

import multiprocessing
from multiprocessing import connection
from typing import NamedTuple

from adaptwin.errors import Infeasible, OutOfMemory, SpecError
from adaptwin.web.job import Failure, JobResult, Stage, WorkOrder


class Told(NamedTuple):
    """What the process tells the server about its job: how far it is, its result, or why it failed."""

    stage: Stage | None = None
    result: JobResult | None = None
    failure: Failure | None = None


def plan_orders(pipe: connection.Connection) -> None:
    """Make the plan of each request that comes through the pipe, until it is closed."""
    if "fork" in multiprocessing.get_all_start_methods():
        # Semaphores, which pools of threads make, then have no name that a killed process would leave behind.
        multiprocessing.set_start_method("fork", force=True)
    while True:
        try:
            order: WorkOrder = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(_answer(order, pipe))


def _answer(order: WorkOrder, pipe: connection.Connection) -> Told:
    from adaptwin.web.make_result import make_result

    try:
        return Told(result=make_result(order, lambda *stage: pipe.send(Told(stage=Stage(*stage)))))
    except (Infeasible, OutOfMemory) as error:
        return Told(failure=Failure("", str(error), "infeasible"))
    except SpecError as error:
        return Told(failure=Failure(error.field, error.message, "input"))
    except Exception as error:  # the queue goes on whatever happens to one job
        return Told(failure=Failure("", f"{type(error).__name__}: {error}", "fault"))
