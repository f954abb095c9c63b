"""make_briefing: simulate the servers of a plan for its report, and plan the fleet naively and with more traffic."""

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import joblib

from adaptwin.briefing.briefing import Briefing
from adaptwin.briefing.more_traffic import with_more_traffic
from adaptwin.briefing.naive import naive_plan
from adaptwin.explanation.savings import savings
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.progress import Progress, silent
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.twin.compilation import compile_twin
from adaptwin.twin.run import Run
from adaptwin.twin.simulate import simulate

MOST_SIMULATED = 256  # servers that are simulated, those with the least headroom first
MOST_RECORDED = 24  # servers whose course over time is recorded
MORE_TRAFFIC = (1.25, 1.5, 2.0)


def make_briefing(
    plan: Plan,
    *,
    more_traffic: Sequence[float] = MORE_TRAFFIC,
    compares: bool = True,
    surrogate: Surrogate | Literal["shipped"] | None = "shipped",
    progress: Progress = silent,
) -> Briefing:
    """Find out what the report of a plan shows beyond the plan itself.

    Args:
        plan: The plan.
        more_traffic: Factors on the traffic, for each of which a new plan is searched for.
        compares: Whether to look for a naive plan, and for changes that would save GPUs.
        surrogate: Surrogate for these searches, as for `make_plan`.
        progress: Called with the current stage, the work done and the total work.
    """
    serving = sorted(plan.serving, key=_least_headroom_first)
    chosen = serving[:MOST_SIMULATED]
    runs: dict[str, Run] = {}
    for name, run in _runs_of(plan, chosen):
        runs[name] = run
        progress("simulating servers", len(runs), len(chosen))
    forecasts = {server.name: server.forecast for server in plan.serving if server.forecast}
    explains = compares and plan.promises and bool(forecasts) and len(forecasts) == len(plan.serving)
    return Briefing(
        runs=runs,
        unsimulated=len(serving) - len(chosen),
        naive=naive_plan(plan, surrogate, progress) if compares and plan.goal in ("gpus", "price") else None,
        more_traffic=tuple(with_more_traffic(plan, factor, surrogate, progress) for factor in more_traffic),
        savings=savings(plan, forecasts, surrogate, progress).saving if explains else (),
    )


def _least_headroom_first(server: PlacedServer) -> float:
    return server.forecast.headroom if server.forecast else -math.inf


def _runs_of(plan: Plan, servers: Sequence[PlacedServer]) -> Iterator[tuple[str, Run]]:
    """Yield the run of each server, with the arrivals of its forecast."""
    compile_twin()
    whole = plan.workload.dealt(plan.seed)
    parts = whole.parts(server.adapters for server in servers)
    calls = (
        joblib.delayed(simulate)(
            plan.profile_of(server), server.server, part, seed=plan.seed, record=place < MOST_RECORDED
        )
        for place, (server, part) in enumerate(zip(servers, parts, strict=True))
    )
    runs = joblib.Parallel(n_jobs=-1, prefer="threads", return_as="generator")(calls)
    yield from zip((server.name for server in servers), runs, strict=True)
