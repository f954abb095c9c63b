"""adaptwin: plan multi-LoRA serving with vLLM - a digital twin, and the placement it proves."""

from adaptwin.calibration.compare import compare
from adaptwin.calibration.fit import fit
from adaptwin.calibration.measurements import Measurements
from adaptwin.dataset.dataset import Dataset
from adaptwin.dataset.design import Design, load_design
from adaptwin.dataset.sweep import sweep
from adaptwin.errors import AdaptwinError, Infeasible, OutOfMemory, SpecError
from adaptwin.explanation.explain import explain
from adaptwin.placement.make_plan import make_plan
from adaptwin.placement.verification.verify import verify
from adaptwin.plan.plan import Plan
from adaptwin.profile.profile import Profile, load_profile
from adaptwin.replanning.replan import replan
from adaptwin.surrogate.surrogate import Surrogate, load_surrogate
from adaptwin.surrogate.train import train
from adaptwin.twin.run import Run
from adaptwin.twin.server import Server
from adaptwin.twin.simulate import simulate, simulate_many
from adaptwin.workload.lengths import Lengths
from adaptwin.workload.workload import Adapter, Workload

__all__ = [
    "Adapter",
    "AdaptwinError",
    "Dataset",
    "Design",
    "Infeasible",
    "Lengths",
    "Measurements",
    "OutOfMemory",
    "Plan",
    "Profile",
    "Run",
    "Server",
    "SpecError",
    "Surrogate",
    "Workload",
    "compare",
    "explain",
    "fit",
    "load_design",
    "load_profile",
    "load_surrogate",
    "make_plan",
    "replan",
    "simulate",
    "simulate_many",
    "sweep",
    "train",
    "verify",
]
