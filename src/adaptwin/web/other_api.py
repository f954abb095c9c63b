"""The rest of the API: simulations of one server, what there is to choose from, health and metrics."""

import asyncio
from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import PlainTextResponse

from adaptwin.export.registry import STACKS
from adaptwin.placement.objectives.registry import OBJECTIVES
from adaptwin.profile.hardware.gpu import load_gpu, shipped_gpus
from adaptwin.profile.hardware.model_config import shipped_models
from adaptwin.profile.profile import load_profile, shipped_profiles
from adaptwin.report.profile_error import error_in_words
from adaptwin.web.job import STATES
from adaptwin.web.services import UsedServices
from adaptwin.web.simulation_request import SimulationAnswer, SimulationRequest, simulated

other_router = APIRouter()


@other_router.post(
    "/v1/simulations",
    tags=["simulations"],
    responses={422: {"description": "what is wrong"}, 503: {"description": "busy"}},
)
async def simulate_one_server(asked: SimulationRequest, services: UsedServices) -> SimulationAnswer:
    """Simulate one server under synthetic traffic; the answer takes some tens of milliseconds."""
    if services.simulations >= services.settings.most_waiting_simulations:
        raise HTTPException(503, "too many simulations run already", headers={"Retry-After": "1"})
    services.simulations += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(services.simulators, simulated, asked)
    finally:
        services.simulations -= 1


@other_router.get("/v1/profiles", tags=["choices"])
def list_profiles() -> list[dict[str, Any]]:
    """List the shipped profiles."""
    return [
        {
            "name": profile.name,
            "gpu": profile.server_hardware,
            "model": profile.model.name,
            "vllm_version": profile.vllm_version,
            "grade": profile.grade,
            "error": error_in_words(profile),
        }
        for profile in map(load_profile, shipped_profiles())
    ]


@other_router.get("/v1/gpus", tags=["choices"])
def list_gpus() -> list[dict[str, Any]]:
    """List the GPUs that profiles can be derived for, with a typical price in US dollars per hour."""
    gpus = map(load_gpu, shipped_gpus())
    return [{"name": gpu.name, "memory_gib": gpu.memory_gib, "price_per_hour": gpu.price_per_hour} for gpu in gpus]


@other_router.get("/v1/models", tags=["choices"])
def list_models() -> list[str]:
    """List the models that profiles can be derived for."""
    return shipped_models()


@other_router.get("/v1/objectives", tags=["choices"])
def list_objectives() -> list[str]:
    """List what a plan can optimise."""
    return list(OBJECTIVES)


@other_router.get("/v1/stacks", tags=["choices"])
def list_stacks() -> list[str]:
    """List the serving stacks that a plan can be exported to."""
    return list(STACKS)


@other_router.get("/healthz", tags=["operations"], responses={503: {"description": "no plans are made"}})
def health(services: UsedServices) -> dict[str, str]:
    """Say that plans are made, and that the store can be written."""
    services.store.require_writable()
    if not services.queue.is_working:
        raise HTTPException(503, "no plans are made: the server must be started again")
    return {"status": "ok"}


@other_router.get("/metrics", tags=["operations"], response_class=PlainTextResponse)
def metrics(services: UsedServices) -> PlainTextResponse:
    """Return the number of jobs by state, in the text format of Prometheus."""
    counts = services.store.counts()
    lines = ["# HELP adaptwin_plans Plans that were asked for, by state.", "# TYPE adaptwin_plans gauge"]
    lines += [f'adaptwin_plans{{state="{state}"}} {counts.get(state, 0)}' for state in STATES]
    return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")
