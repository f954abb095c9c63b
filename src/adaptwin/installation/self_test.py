"""self_test: the kernel against the reference, a small plan, and a seed that gives the same run twice."""

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from adaptwin.installation.finding import InstallationFinding, found
from adaptwin.progress import Progress, silent

if TYPE_CHECKING:
    from adaptwin.twin.server import Server
    from adaptwin.workload.workload import Workload

_STAGE = "self-test"
_NEW_CODE = "delete the folder of machine code, or install adaptwin anew; if that does not help, report it"


def self_test(progress: Progress = silent) -> list[InstallationFinding]:
    """Compile what is missing, and return whether the twin and a plan give what they must."""
    checks: dict[str, Callable[[], str]] = {
        "machine code": lambda: _machine_code_loads(progress),
        "kernel": _kernel_equals_reference,
        "seed": _seed_decides,
        "plan": _plan_is_verified,
    }
    findings = []
    for done, (name, check) in enumerate(checks.items()):
        progress(_STAGE, done, len(checks))
        findings.append(found(name, partial(_timed, name, check), _NEW_CODE))
    progress(_STAGE, len(checks), len(checks))
    return findings


def _timed(name: str, check: Callable[[], str]) -> InstallationFinding:
    started = time.perf_counter()
    says = check()
    return InstallationFinding(name, "ok", f"{says} ({time.perf_counter() - started:.1f} s)")


def _machine_code_loads(progress: Progress) -> str:
    from adaptwin.surrogate.compilation import compile_planning

    compile_planning(progress)
    return "the compiled functions can be loaded"


def _kernel_equals_reference() -> str:
    """Play a scenario with few slots on both twins; raises `AssertionError` with the first figure that differs."""
    import numpy as np

    from adaptwin.profile.profile import load_profile, shipped_profiles
    from adaptwin.twin.kernel.play import play
    from adaptwin.twin.reference.engine import ReferenceTwin
    from adaptwin.twin.scenario import Outcome, make_scenario

    server, workload = _small_server()
    scenario = make_scenario(load_profile(shipped_profiles()[0]), server, workload, seed=6)
    kernel, reference = play(scenario), ReferenceTwin(scenario).run()
    for name, ours, theirs in zip(Outcome._fields, kernel, reference, strict=True):
        if not np.array_equal(np.asarray(ours), np.asarray(theirs)):
            raise AssertionError(f"the kernel and the reference differ in {name}")
    requests = len(scenario.requests.arrival)
    return f"equals the reference in all {len(Outcome._fields)} figures of {kernel.steps:,} steps, {requests} requests"


def _seed_decides() -> str:
    from adaptwin.profile.profile import load_profile, shipped_profiles
    from adaptwin.twin.simulate import simulate

    profile, (server, workload) = load_profile(shipped_profiles()[0]), _small_server()
    first, again, other = (simulate(profile, server, workload, seed=seed).file_form() for seed in (0, 0, 1))
    if first != again:
        raise AssertionError("the same seed gave two different runs")
    if first == other:
        raise AssertionError("two seeds gave the same run")
    return "the same seed gives the same run, another one a different run"


def _plan_is_verified() -> str:
    from adaptwin.placement.make_plan import make_plan
    from adaptwin.profile.profile import load_profile, shipped_profiles

    workload = _small_server()[1].model_copy(update={"duration": 300.0})
    plan = make_plan(load_profile(shipped_profiles()[0]), workload)
    if not plan.verified:
        raise AssertionError(f"a plan on {plan.gpus} GPUs for {len(workload)} adapters is not verified")
    return f"{len(workload)} adapters on {plan.gpus} GPU, verified"


def _small_server() -> "tuple[Server, Workload]":
    """Return a server with fewer slots than adapters, and half a minute of traffic."""
    from adaptwin.twin.server import Server
    from adaptwin.workload.workload import Adapter, Workload

    adapters = [Adapter(name=f"a{i}", rank=(0, 8, 16, 32)[i % 4], rate=0.25 + 0.02 * i) for i in range(12)]
    return Server(max_loras=4, max_lora_rank=32, max_cpu_loras=8), Workload(adapters=adapters, duration=30.0)
