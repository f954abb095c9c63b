"""The web app: the API, and the pages that use it."""

import importlib.metadata
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from adaptwin.errors import SpecError
from adaptwin.profile.profile import shipped_profiles
from adaptwin.web import other_api, page_files, plans_api, sign_in
from adaptwin.web.guard import Guard
from adaptwin.web.job_process import make_plans
from adaptwin.web.job_queue import Work
from adaptwin.web.services import Services
from adaptwin.web.settings import WebSettings
from adaptwin.web.simulation_request import SimulationRequest, simulated


def web_app(settings: WebSettings, work: Work = make_plans) -> FastAPI:
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
    app.include_router(plans_api.router)
    app.include_router(other_api.router)
    app.include_router(page_files.router)
    app.include_router(sign_in.router)
    app.add_exception_handler(SpecError, _wrong_input)
    app.add_middleware(Guard, token=settings.token, most_bytes=settings.most_bytes, hosts=settings.hosts)
    return app


def _be_quick() -> None:
    """Simulate once, so that the first move of a slider does not wait for machine code."""
    simulated(SimulationRequest(profile=shipped_profiles()[0], rate=1.0, duration=30.0))


async def _wrong_input(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SpecError)
    place = {"loc": ["body", *error.field.split(".")], "msg": error.message, "type": "value_error"}
    return JSONResponse({"detail": [place]}, 422)
