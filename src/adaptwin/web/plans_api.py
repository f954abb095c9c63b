"""The part of the API that makes plans: ask for one, follow it, cancel it, and take its results."""

import asyncio
import io
import secrets
import zipfile
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from pydantic import Field

from adaptwin.errors import AdaptwinError
from adaptwin.export.exported import export
from adaptwin.export.registry import STACKS
from adaptwin.plain_data import parse_yaml, plain
from adaptwin.plan.plan import Plan
from adaptwin.plan.plans import Plans
from adaptwin.web.job import ENDED, PlanJob, State
from adaptwin.web.make_result import whole_page
from adaptwin.web.plan_request import PlanRequest, about
from adaptwin.web.report_policy import policy_of_report
from adaptwin.web.request_size import SmallButForTheFleet
from adaptwin.web.request_spec import RequestSpec
from adaptwin.web.services import Services, UsedServices
from adaptwin.web.views import JobView, job_view

MOST_LISTED_PLANS = 100
_FOLLOW_EVERY = 0.25  # seconds between looks at a job that is followed
_SPEAK_EVERY = 15.0  # seconds after which a stream says that it is still there

plans_router = APIRouter(prefix="/v1/plans", tags=["plans"], route_class=SmallButForTheFleet)


def _job(plan_id: str, services: UsedServices) -> PlanJob:
    job = services.store.job(plan_id)
    if job is None:
        raise HTTPException(404, "there is no such plan")
    return job


def _view(job: PlanJob, services: Services) -> JobView:
    return job_view(job, services.ahead_of(job))


def _view_if_known(plan_id: str, services: Services) -> JobView | None:
    job = services.store.job(plan_id)
    return None if job is None else _view(job, services)


Known = Annotated[PlanJob, Depends(_job)]


@plans_router.post(
    "", status_code=202, responses={422: {"description": "what is wrong"}, 429: {"description": "too many wait"}}
)
def ask_for_a_plan(asked: PlanRequest, request: Request, services: UsedServices) -> JobView:
    """Ask for a plan. It is queued; `GET /v1/plans/{id}` says how far it is."""
    client, waiting = services.client_of(request), services.store.waiting()
    own = sum(job.client == client for job in waiting)
    if len(waiting) >= services.settings.most_queued or own >= services.settings.most_queued_of_client:
        whose = "of yours " if own >= services.settings.most_queued_of_client else ""
        raise HTTPException(429, f"too many plans {whose}wait already: try again later", headers={"Retry-After": "30"})
    fields = asked.model_dump(mode="json", exclude_unset=True)
    job = services.store.add(secrets.token_urlsafe(9), client, fields, about(asked))
    services.queue.wake()
    return _view(job, services)


class MoreTrafficRequest(RequestSpec):
    """A plan that exists, for other traffic."""

    factor: float = Field(ge=0.01, le=100, allow_inf_nan=False, description="factor on all traffic of the plan")


@plans_router.post(
    "/{plan_id}/again",
    status_code=202,
    responses={404: {"description": "there is no such plan"}, 409: {"description": "it was not made"}},
)
def plan_for_more_traffic(job: Known, asked: MoreTrafficRequest, request: Request, services: UsedServices) -> JobView:
    """Ask for a plan of the same fleet with all its traffic multiplied by a factor."""
    known = services.store.request(job.id)
    if known is None:
        raise HTTPException(409, "what was asked for is not kept, because no plan was made")
    traffic = PlanRequest.parse(known, file="request").traffic * asked.factor
    return ask_for_a_plan(PlanRequest.parse({**known, "traffic": traffic}, file="request"), request, services)


@plans_router.get("")
def list_plans(
    services: UsedServices, most: Annotated[int, Query(ge=1, le=MOST_LISTED_PLANS)] = 20, state: State | None = None
) -> list[JobView]:
    """List the newest plans that were asked for, in this state if one is given, the last one first."""
    return [_view(job, services) for job in services.store.latest(most, state)]


@plans_router.get("/{plan_id}", responses={404: {"description": "there is no such plan"}})
def follow_a_plan(job: Known, services: UsedServices) -> JobView:
    """Say how far a plan is, and its figures once it is done."""
    return _view(job, services)


@plans_router.post("/{plan_id}/cancel", responses={404: {"description": "there is no such plan"}})
def cancel_a_plan(job: Known, services: UsedServices) -> JobView:
    """Cancel a plan that waits or is made; one that has ended stays as it is."""
    if services.store.cancel(job.id):
        services.queue.wake()
        services.store.keep(services.settings.most_kept)
    return job_view(services.store.job(job.id) or job)


@plans_router.delete(
    "/{plan_id}",
    responses={404: {"description": "there is no such plan"}, 409: {"description": "it waits or is made"}},
)
def remove_a_plan(job: Known, services: UsedServices) -> JobView:
    """Remove a plan that has ended."""
    if not services.store.remove(job.id):
        raise HTTPException(409, "the plan waits or is made: cancel it first")
    return job_view(job)


@plans_router.get(
    "/{plan_id}/events", response_class=StreamingResponse, responses={404: {"description": "there is no such plan"}}
)
async def events(plan_id: str, services: UsedServices) -> StreamingResponse:
    """Follow a plan as server-sent events: one for each change, until it has ended."""
    if await asyncio.to_thread(services.store.job, plan_id) is None:
        raise HTTPException(404, "there is no such plan")
    return StreamingResponse(
        _changes(plan_id, services), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


async def _changes(plan_id: str, services: Services) -> AsyncIterator[str]:
    last, silent = "", 0.0
    while not services.is_closing:
        view = await asyncio.to_thread(_view_if_known, plan_id, services)
        if view is None:
            return
        text = view.model_dump_json()
        if text != last:
            last, silent = text, 0.0
            yield f"data: {text}\n\n"
        elif silent >= _SPEAK_EVERY:
            silent = 0.0
            yield ":\n\n"
        if view.state in ENDED:
            return
        silent += _FOLLOW_EVERY
        await asyncio.sleep(_FOLLOW_EVERY)


@plans_router.get(
    "/{plan_id}/plan.yaml",
    response_class=PlainTextResponse,
    responses={404: {"description": "no such plan, or not done"}},
)
def plan_file(job: Known, services: UsedServices) -> PlainTextResponse:
    """Return the plan as its file."""
    return PlainTextResponse(_plan_text(job, services), media_type="application/yaml", headers=_as_file("plan.yaml"))


@plans_router.get(
    "/{plan_id}/report", response_class=Response, responses={404: {"description": "no such plan, or not done"}}
)
def report_page(job: Known, services: UsedServices, download: bool = False) -> Response:
    """Return the report of the plan: a page that needs no other file."""
    kept = services.store.report(job.id)
    if kept is None:
        raise HTTPException(404, "the plan has no report: it is not done")
    headers = {"Content-Security-Policy": policy_of_report(kept)} | (_as_file("plan.html") if download else {})
    return Response(whole_page(kept), media_type="text/html", headers=headers)


@plans_router.get(
    "/{plan_id}/exports/{stack}",
    response_class=Response,
    responses={
        404: {"description": "no such plan or stack"},
        409: {"description": "the stack cannot express the plan"},
    },
)
def exported_files(job: Known, stack: str, services: UsedServices) -> Response:
    """Return the files that run the plan on a serving stack: one file as it is, several as a zip archive."""
    if stack not in STACKS:
        raise HTTPException(404, f"there is no such stack; there are {', '.join(STACKS)}")
    plans = _plans(_plan_text(job, services))
    try:
        files = export(plans, stack)
    except AdaptwinError as error:
        raise HTTPException(409, str(error)) from None
    if len(files) == 1:
        ((name, text),) = files.items()
        return PlainTextResponse(text, headers=_as_file(name))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return Response(packed.getvalue(), media_type="application/zip", headers=_as_file(f"{stack}.zip"))


def _plan_text(job: PlanJob, services: Services) -> str:
    text = services.store.plan(job.id)
    if text is None:
        raise HTTPException(404, "there is no plan: it is not done")
    return text


def _plans(text: str) -> Plans:
    fields = plain(parse_yaml(text, "plan.yaml"))
    return Plans.parse(fields) if "plans" in fields else Plans(plans=(Plan.parse(fields),))


def _as_file(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name.rpartition("/")[2]}"'}
