"""Schedule: plans that follow each other over a day, and what they save against one plan for all of it."""

from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from adaptwin import file_kinds
from adaptwin.plan.plan import Plan
from adaptwin.spec import Line, Name, Spec

SCHEDULE_FILE, STATIC_FILE = "schedule.yaml", "static.yaml"


class ScheduledPlan(Spec):
    """One plan of a schedule: when it serves, and the change from the plan before it."""

    at: Name = Field(description="time on the clock at which the plan begins to serve, such as 07:00")
    until: Name = Field(description="time on the clock at which the next plan takes over")
    start: float = Field(ge=0, description="seconds since midnight at which the plan begins to serve")
    end: float = Field(ge=0, description="seconds since that midnight at which the next plan takes over")
    request_rate: float = Field(ge=0, description="requests/s of all adapters in the busiest of these periods")
    gpus: int = Field(ge=0, description="GPUs of the plan")
    started: int = Field(ge=0, description="servers that start for this plan")
    stopped: int = Field(ge=0, description="servers that stop once this plan serves")
    moves: int = Field(ge=0, description="loads of an adapter on a server that did not serve it")
    restarts: int = Field(ge=0, description="servers that restart with other settings")
    extra_gpus: int = Field(
        ge=0, description="GPUs needed during the change, beyond those of the larger of the two plans"
    )
    change_gpu_hours: float = Field(
        ge=0, description="GPU-hours during the change beyond those of the plan before it: servers that start early"
    )
    gpu_hours: float = Field(ge=0, description="GPU-hours of the plan and of the change to it")
    verified: bool = Field(description="whether the plan held in simulations of each of its periods")
    plan: Line = Field(description="file of the plan, beside that of the schedule; its `migration` is the change")


class Schedule(Spec):
    """Plans for the periods of a day, or of another time that repeats. The last is followed by the first."""

    file_kind = file_kinds.SCHEDULE

    period: float = Field(gt=0, description="seconds of a period, in which rates do not change")
    periods: int = Field(ge=1, description="number of periods, after which the first one follows again")
    lead: float = Field(ge=0, description="seconds that new servers start before their plan serves")
    move_cost: float = Field(ge=0, description="cost of a move in the search, in GPU-hours")
    restart_cost: float = Field(ge=0, description="cost of a restart in the search, in GPU-hours")
    entries: tuple[ScheduledPlan, ...] = Field(min_length=1, description="plans, by their times on the clock")
    gpu_hours: float = Field(ge=0, description="GPU-hours of all plans and changes")
    static_gpus: int = Field(ge=0, description="GPUs of one plan for all periods")
    static_gpu_hours: float = Field(ge=0, description="GPU-hours of one plan for all periods")
    saved_gpu_hours: float = Field(description="GPU-hours that the schedule saves against one plan for all periods")
    moves: int = Field(ge=0, description="moves in all periods together")
    restarts: int = Field(ge=0, description="restarts in all periods together")
    verified: bool = Field(description="whether every plan held in simulations of each of its periods")
    static_verified: bool = Field(description="whether one plan for all periods held in simulations of each of them")
    time_limit_hit: bool = Field(default=False, description="whether the time limit ended the search")
    static_plan: Line = Field(description="file of the one plan for all periods, beside that of the schedule")
    assumptions: tuple[Line, ...] = Field(default=(), description="what the figures assume, in words")

    @property
    def changes_cost(self) -> float:
        """Cost of all moves and restarts in the search, in GPU-hours; they are no part of `gpu_hours`."""
        return self.moves * self.move_cost + self.restarts * self.restart_cost


class FoundSchedule(NamedTuple):
    """A schedule together with its plans."""

    schedule: Schedule
    plans: tuple[Plan, ...]  # of the entries, in their order
    static: Plan  # one plan for all periods

    def files(self) -> dict[str, Schedule | Plan]:
        """Return what a folder holds of the schedule, by the name of the file."""
        named = {entry.plan: plan for entry, plan in zip(self.schedule.entries, self.plans, strict=True)}
        return {SCHEDULE_FILE: self.schedule, STATIC_FILE: self.static, **named}

    def write(self, folder: str | Path) -> None:
        """Write schedule and plans to a folder, which must exist; raises `SpecError`."""
        for name, value in self.files().items():
            value.write(Path(folder, name))
