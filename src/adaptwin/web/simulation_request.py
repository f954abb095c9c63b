"""SimulationRequest: one server under synthetic traffic, quick enough to answer while a slider moves."""

from typing import Any

from pydantic import Field

from adaptwin.errors import Infeasible, OutOfMemory, SpecError, not_one_of
from adaptwin.plan.forecast import HEADROOM_SEEDS
from adaptwin.profile.profile import load_profile, shipped_profiles
from adaptwin.report.plan.headroom import headroom_text
from adaptwin.spec import Line, Spec
from adaptwin.twin.run import Run
from adaptwin.twin.server import Server, server_rank
from adaptwin.twin.simulate import simulate
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.sources.synthetic import synthesize

MOST_REQUESTS = 60_000  # of one simulation


class SimulationRequest(Spec):
    """One server, and adapters that share its traffic by Zipf's law."""

    profile: Line = Field(description="shipped profile of the server")
    adapters: int = Field(default=100, ge=1, le=1000, description="number of adapters")
    rate: float = Field(default=10.0, gt=0, le=1000, allow_inf_nan=False, description="requests/s of all adapters")
    ranks: dict[int, float] = Field(
        default_factory=lambda: {8: 0.5, 16: 0.3, 32: 0.2},
        max_length=8,
        description="share of the adapters by rank; the shares are divided by their sum",
    )
    prompt: int = Field(default=250, ge=1, le=32_768, description="mean tokens of a prompt")
    answer: int = Field(default=200, ge=1, le=8_192, description="mean tokens of an answer")
    max_loras: int = Field(default=32, ge=1, le=1000, description="adapter slots of the server")
    duration: float = Field(default=300.0, ge=30, le=3600, allow_inf_nan=False, description="seconds of traffic")
    seed: int = Field(default=0, ge=0, le=2**31, description="seed of all random draws")
