"""Costs: a profile's costs under a server's settings, as the steady state uses them."""

from typing import NamedTuple

from adaptwin.profile.profile import Profile
from adaptwin.profile.scheduler_cost import SchedulerCoefficients
from adaptwin.profile.step_cost import StepCoefficients
from adaptwin.twin.server import Server
from adaptwin.twin.step_coefficients import step_coefficients


class Costs(NamedTuple):
    """A profile's costs under a server's settings."""

    step: StepCoefficients
    scheduler: SchedulerCoefficients
    load_base: float  # seconds to bring an adapter to the GPU
    load_per_rank: float  # seconds more per unit of the adapter's own rank, less the padding that it saves
    request_latency: float  # seconds
    rank: float  # max_lora_rank


def costs_of(profile: Profile, server: Server) -> Costs:
    """Return a profile's costs under a server's settings."""
    load, rank = profile.load_cost, server.max_lora_rank
    return Costs(
        step=step_coefficients(profile, server),
        scheduler=profile.scheduler_cost.coefficients(),
        load_base=load.gpu_base + load.gpu_per_padding * rank,
        load_per_rank=load.gpu_per_rank - load.gpu_per_padding,
        request_latency=profile.request_latency,
        rank=float(rank),
    )
