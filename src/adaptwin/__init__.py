"""adaptwin: plan multi-LoRA serving with vLLM - a digital twin, and the placement it proves."""

from adaptwin.errors import AdaptwinError, Infeasible, OutOfMemory, SpecError
from adaptwin.profile.profile import Profile, load_profile
from adaptwin.twin.run import Run
from adaptwin.twin.server import Server
from adaptwin.twin.simulate import simulate, simulate_many
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.workload import Adapter, Workload

__all__ = [
    "Adapter",
    "AdaptwinError",
    "Infeasible",
    "Lengths",
    "OutOfMemory",
    "Profile",
    "Run",
    "Server",
    "SpecError",
    "Workload",
    "load_profile",
    "simulate",
    "simulate_many",
]
