"""holds: whether a server holds in one run of the twin, of which no other figure is kept."""

from adaptwin.plan.latency_limits import LatencyLimits
from adaptwin.twin.compilation import compile_twin
from adaptwin.twin.played import play_scenario
from adaptwin.twin.scenario import make_scenario
from adaptwin.twin.simulate import Case


def holds(case: Case, limits: LatencyLimits) -> bool:
    """Whether a server and all its adapters are ok in one run, and the server keeps these limits.

    Raises `OutOfMemory` if the server would not start.
    """
    compile_twin()
    seed = case.workload.seed if case.seed is None else case.seed
    scenario = make_scenario(case.profile, case.server, case.workload, seed=seed)
    played = play_scenario(case.profile, case.workload, scenario)
    return played.judgement.worst == "ok" and limits.holds(ttft_p99=played.ttft.p99, itl_p99=played.itl.p99)
