"""adaptwin: plan multi-LoRA serving with vLLM - a digital twin, and placements that it verifies.

A public name is loaded when it is first used, so that `import adaptwin` is quick.
"""

import importlib

TYPE_CHECKING = False  # type checkers take it as true; the module typing would take longer to load than all else here
if TYPE_CHECKING:
    from adaptwin.calibration.compare import compare
    from adaptwin.calibration.file_fit.file_fit import FileFit, fit_to_files
    from adaptwin.calibration.fit import Fit, fit
    from adaptwin.calibration.measurements import MeasuredRun, Measurements
    from adaptwin.dataset.dataset import Dataset
    from adaptwin.dataset.design import Design, load_design
    from adaptwin.dataset.sweep import sweep
    from adaptwin.errors import AdaptwinError, Infeasible, OutOfMemory, SpecError
    from adaptwin.explanation.explain import explain
    from adaptwin.explanation.explanation import Explanation
    from adaptwin.placement.make_front import make_front
    from adaptwin.placement.make_plan import make_plan
    from adaptwin.placement.make_plans import make_plans
    from adaptwin.placement.verification.stress import stress
    from adaptwin.placement.verification.verify import verify
    from adaptwin.plan.check import Check
    from adaptwin.plan.constraints import Constraints
    from adaptwin.plan.decisions import Alternative, Decision
    from adaptwin.plan.failover import Failover
    from adaptwin.plan.fleet import Fleet, read_fleet
    from adaptwin.plan.forecast import Forecast
    from adaptwin.plan.front import Front
    from adaptwin.plan.migration import Migration
    from adaptwin.plan.options import PlanOptions
    from adaptwin.plan.plan import PlacedServer, Plan
    from adaptwin.plan.plans import Plans
    from adaptwin.plan.stress import Stress
    from adaptwin.plan.stress_scenario import StressScenario
    from adaptwin.profile.derive import derive_profile
    from adaptwin.profile.hardware.gpu import load_gpu, shipped_gpus
    from adaptwin.profile.hardware.model_config import shipped_models
    from adaptwin.profile.profile import Profile, load_profile, shipped_profiles
    from adaptwin.replanning.replan import replan
    from adaptwin.replanning.replan_plans import replan_plans
    from adaptwin.surrogate.surrogate import Prediction, Surrogate, load_surrogate, surrogate_for
    from adaptwin.surrogate.train import train
    from adaptwin.twin.run import Run
    from adaptwin.twin.server import Server
    from adaptwin.twin.simulate import simulate, simulate_many
    from adaptwin.workload.lengths import Lengths
    from adaptwin.workload.templates import Template
    from adaptwin.workload.workload import Adapter, Workload

__all__ = [
    "Adapter",
    "AdaptwinError",
    "Alternative",
    "Check",
    "Constraints",
    "Dataset",
    "Decision",
    "Design",
    "Explanation",
    "Failover",
    "FileFit",
    "Fit",
    "Fleet",
    "Forecast",
    "Front",
    "Infeasible",
    "Lengths",
    "MeasuredRun",
    "Measurements",
    "Migration",
    "OutOfMemory",
    "PlacedServer",
    "Plan",
    "PlanOptions",
    "Plans",
    "Prediction",
    "Profile",
    "Run",
    "Server",
    "SpecError",
    "Stress",
    "StressScenario",
    "Surrogate",
    "Template",
    "Workload",
    "compare",
    "derive_profile",
    "explain",
    "fit",
    "fit_to_files",
    "load_design",
    "load_gpu",
    "load_profile",
    "load_surrogate",
    "make_front",
    "make_plan",
    "make_plans",
    "read_fleet",
    "replan",
    "replan_plans",
    "shipped_gpus",
    "shipped_models",
    "shipped_profiles",
    "simulate",
    "simulate_many",
    "stress",
    "surrogate_for",
    "sweep",
    "train",
    "verify",
]

_MODULES = {  # the module that defines each public name
    "Adapter": "workload.workload",
    "AdaptwinError": "errors",
    "Alternative": "plan.decisions",
    "Check": "plan.check",
    "Constraints": "plan.constraints",
    "Dataset": "dataset.dataset",
    "Decision": "plan.decisions",
    "Design": "dataset.design",
    "Explanation": "explanation.explanation",
    "Failover": "plan.failover",
    "FileFit": "calibration.file_fit.file_fit",
    "Fit": "calibration.fit",
    "Fleet": "plan.fleet",
    "Forecast": "plan.forecast",
    "Front": "plan.front",
    "Infeasible": "errors",
    "Lengths": "workload.lengths",
    "MeasuredRun": "calibration.measurements",
    "Measurements": "calibration.measurements",
    "Migration": "plan.migration",
    "OutOfMemory": "errors",
    "PlacedServer": "plan.plan",
    "Plan": "plan.plan",
    "PlanOptions": "plan.options",
    "Plans": "plan.plans",
    "Prediction": "surrogate.surrogate",
    "Profile": "profile.profile",
    "Run": "twin.run",
    "Server": "twin.server",
    "SpecError": "errors",
    "Stress": "plan.stress",
    "StressScenario": "plan.stress_scenario",
    "Surrogate": "surrogate.surrogate",
    "Template": "workload.templates",
    "Workload": "workload.workload",
    "compare": "calibration.compare",
    "derive_profile": "profile.derive",
    "explain": "explanation.explain",
    "fit": "calibration.fit",
    "fit_to_files": "calibration.file_fit.file_fit",
    "load_design": "dataset.design",
    "load_gpu": "profile.hardware.gpu",
    "load_profile": "profile.profile",
    "load_surrogate": "surrogate.surrogate",
    "make_front": "placement.make_front",
    "make_plan": "placement.make_plan",
    "make_plans": "placement.make_plans",
    "read_fleet": "plan.fleet",
    "replan": "replanning.replan",
    "replan_plans": "replanning.replan_plans",
    "shipped_gpus": "profile.hardware.gpu",
    "shipped_models": "profile.hardware.model_config",
    "shipped_profiles": "profile.profile",
    "simulate": "twin.simulate",
    "simulate_many": "twin.simulate",
    "stress": "placement.verification.stress",
    "surrogate_for": "surrogate.surrogate",
    "sweep": "dataset.sweep",
    "train": "surrogate.train",
    "verify": "placement.verification.verify",
}


def __getattr__(name: str) -> object:
    """Load a public name from its module when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names and the names that every module has."""
    return sorted({*globals(), *__all__})
