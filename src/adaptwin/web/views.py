"""The JSON that the API answers with."""

from typing import Any

from pydantic import Field

from adaptwin.spec import Spec
from adaptwin.web.job import PlanJob, State


class StageView(Spec):
    """How far a job is."""

    name: str = Field(description="what is done")
    done: int = Field(description="units of work done")
    total: int = Field(description="units of work in all")


class FailureView(Spec):
    """Why a job failed."""

    field: str = Field(description="field of the request or the fleet that is wrong; empty if none is")
    message: str = Field(description="what is wrong")
    kind: str = Field(description="input, infeasible, limit or fault")


class JobView(Spec):
    """A plan that was asked for, and how far it is. Times in seconds since 1970."""

    id: str = Field(description="name of the job")
    state: State = Field(description="queued, running, done, failed or cancelled")
    ahead: int = Field(default=0, description="jobs that were queued before it and still wait")
    title: str = Field(description="name of the plan, with the factor on its traffic if there is one")
    traffic: float = Field(default=1.0, description="factor on all traffic")
    hardware: str | None = Field(default=None, description="GPU and model that were asked for; None: the fleet's")
    asked: dict[str, Any] = Field(default_factory=dict, description="options of the plan; None: the fleet's")
    created: float = Field(description="when it was asked for")
    started: float | None = Field(default=None, description="when it began")
    ended: float | None = Field(default=None, description="when it ended")
    stage: StageView | None = Field(default=None, description="how far it is, while it runs")
    failure: FailureView | None = Field(default=None, description="why it failed")
    summary: dict[str, Any] | None = Field(default=None, description="figures of its plans, once it is done")


def job_view(job: PlanJob, ahead: int = 0) -> JobView:
    """Return a job as the API shows it."""
    return JobView(
        id=job.id,
        state=job.state,
        ahead=ahead,
        **job.about,
        created=job.created,
        started=job.started,
        ended=job.ended,
        stage=StageView(**job.stage._asdict()) if job.stage else None,
        failure=FailureView(**job.failure._asdict()) if job.failure else None,
        summary=job.summary,
    )
