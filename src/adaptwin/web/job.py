"""PlanJob: a plan that was asked for over the web, and how far it is."""

from typing import Any, Literal, NamedTuple, get_args

State = Literal["queued", "running", "done", "failed", "cancelled"]
STATES: tuple[State, ...] = get_args(State)
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")


class Stage(NamedTuple):
    """How far a job is: what it does, and how much of that is done."""

    name: str
    done: int
    total: int


class Failure(NamedTuple):
    """Why a job failed: the field of the request that is wrong, if it is one, and what is wrong."""

    field: str
    message: str
    kind: Literal["input", "infeasible", "limit", "fault"]


class WebClient(NamedTuple):
    """Who asks: the address, and the visitor among those of an address."""

    address: str
    visitor: str = ""


class PlanJob(NamedTuple):
    """A job. Times are in seconds since 1970; `about` says in plain data what was asked for, but not the fleet."""

    id: str
    state: State
    created: float
    started: float | None
    ended: float | None
    about: dict[str, Any]
    stage: Stage | None
    failure: Failure | None
    summary: dict[str, Any] | None  # of a job that is done


class Waiting(NamedTuple):
    """A job that waits: whose it is, and since when."""

    id: str
    client: WebClient
    created: float


class WorkOrder(NamedTuple):
    """What a process gets to do."""

    request: dict[str, Any]
    most_adapters: int


class JobResult(NamedTuple):
    """What a job that is done leaves behind."""

    summary: dict[str, Any]
    plan: str  # the plans' file
    report: str  # the page, without the library that draws its figures
