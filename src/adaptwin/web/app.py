"""The web app: the API, and the pages that use it."""

import importlib.metadata
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from adaptwin.errors import SpecError
from adaptwin.profile.profile import shipped_profiles
from adaptwin.visible import visible
from adaptwin.web import other_api, page_files, plans_api, sign_in
from adaptwin.web.guard import Guard
from adaptwin.web.job_process import plan_orders
from adaptwin.web.services import Services
from adaptwin.web.settings import WebSettings
from adaptwin.web.simulation_request import SimulationRequest, simulated
from adaptwin.web.worker import Work

_MOST_ERRORS = 20  # of a request that are said


def web_app(settings: WebSettings, work: Work = plan_orders) -> FastAPI:
    """Return the app; `work` is done by the processes of its queue. Raises `SpecError` for its database."""
    services = Services(settings, work)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        services.queue.start()
        threading.Thread(target=_be_quick, daemon=True).start()
        try:
            yield
        finally:
            services.close()

    app = FastAPI(
        title="adaptwin",
        version=importlib.metadata.version("adaptwin"),
        description="Plan vLLM servers for many LoRA adapters.",
        lifespan=lifespan,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        responses={
            400: {"description": "the body cannot be read"},
            401: {"description": "the token is missing"},
            403: {"description": "a page of another site asks"},
            413: {"description": "the body is too large"},
        },
    )
    app.state.services = services
    app.include_router(plans_api.plans_router)
    app.include_router(other_api.other_router)
    app.include_router(page_files.pages_router)
    app.include_router(sign_in.sign_in_router)
    app.add_exception_handler(SpecError, _wrong_input)
    app.add_exception_handler(RequestValidationError, _wrong_request)
    app.add_exception_handler(sqlite3.Error, _no_store)
    app.add_middleware(Guard, token=settings.token, most_bytes=settings.most_bytes, hosts=settings.hosts)
    return app


def _be_quick() -> None:
    """Simulate once, so that the first move of a slider does not wait for machine code."""
    simulated(SimulationRequest(profile=shipped_profiles()[0], rate=1.0, duration=30.0))


async def _wrong_input(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SpecError)
    return _refusal([(["body", *error.field.split(".")], error.message, "value_error")])


async def _wrong_request(_: Request, error: Exception) -> JSONResponse:
    """Say what is wrong, without the values, which may be anything."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[:_MOST_ERRORS]
    return _refusal([(each["loc"], each["msg"].removeprefix("Value error, "), each["type"]) for each in first])


def _refusal(errors: Iterable[tuple[Sequence[str | int], str, str]]) -> JSONResponse:
    details = [
        {"loc": [visible(part) if isinstance(part, str) else part for part in loc], "msg": visible(msg), "type": kind}
        for loc, msg, kind in errors
    ]
    return JSONResponse({"detail": details}, 422)


async def _no_store(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": f"the plans cannot be kept at present: {error}"}, 503, {"Retry-After": "5"})
