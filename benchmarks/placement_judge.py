"""Judging a strategy on a population: by its own placement, and by the verified plan that `make_plan` makes from it.

Both are simulated with arrivals that no planner has used.
"""

import time
from typing import NamedTuple

import numpy as np

from adaptwin import Infeasible, Plan, Profile, Workload, verify
from adaptwin.placement.capacity.planner_settings import settings_range
from adaptwin.placement.lower_bound.lower_bound import lower_bound
from adaptwin.placement.packing.problem import Assignment, Place, Problem
from adaptwin.placement.planner import find_plan
from adaptwin.placement.strategies.registry import STRATEGIES
from adaptwin.plan.options import PlanOptions
from adaptwin.twin.server import Server
from adaptwin.twin.simulate import Case, simulate_many
from adaptwin.workload.drawing.seeds import stream_seed
from populations import Population

FRESH_SEEDS = (20_000, 20_001, 20_002)
TIME_LIMIT = 60.0  # seconds of search
UNKNOWN = float("nan")


class Settings(NamedTuple):
    """Settings that the planner is given, under a name. It chooses the others."""

    name: str
    given: Server


class Result(NamedTuple):
    """The outcome of one strategy on one population."""

    population: str
    kind: str
    adapters: int
    rate: float
    settings: str
    strategy: str
    bound: int  # on the GPUs of any placement with these settings
    alone: int  # GPUs of the strategy's own placement; 0: none was found
    overloaded: int  # adapters that are starved or backlogged in that placement, with fresh arrivals
    gpus: int = 0  # GPUs of the verified plan; 0: there is none
    holds: bool = False  # whether the verified plan holds with fresh seeds
    merged: int = 0  # servers with merged weights
    itl_mean: float = UNKNOWN  # mean over all servers, weighted by their throughput
    itl_p99: float = UNKNOWN  # of the worst server
    ttft_p99: float = UNKNOWN  # of the worst server
    running: float = UNKNOWN  # requests that run at once on average, on the server with the most
    estimate: float | None = None  # of the fewest GPUs, from the verified plan
    seconds: float = UNKNOWN  # to make the verified plan, forecasts included


def judge(
    profile: Profile, population: Population, strategy: str, settings: Settings, *, allow_merged: bool = False
) -> Result:
    """Evaluate a strategy on a population: by its own placement, and by the verified plan."""
    workload, watched = population.workload, _Watched(STRATEGIES[strategy].place)
    range_ = settings_range(settings.given, [profile])
    bound = lower_bound([profile], workload, range_, allow_merged=allow_merged)
    options = PlanOptions(strategy=strategy, time_limit=TIME_LIMIT, allow_merged=allow_merged)
    started = time.perf_counter()
    try:
        plan = find_plan(
            [profile], workload, options, strategy=STRATEGIES[strategy]._replace(place=watched), server=settings.given
        )
    except Infeasible:
        plan = None
    seconds = time.perf_counter() - started
    result = Result(
        population.name,
        population.kind,
        len(workload),
        workload.rate,
        settings.name,
        strategy,
        bound,
        len(watched.first),
        _overloaded(profile, workload, watched.first),
        seconds=seconds,
    )
    return _with_figures(result, plan) if plan else result


class _Watched:
    """The function of a strategy, which remembers its first placement: the one before any repair."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.first: list[Assignment] = []

    def __call__(self, problem: Problem) -> list[Assignment]:
        found = self._place(problem)
        self.first = self.first or found
        return found


def _overloaded(profile: Profile, workload: Workload, servers: list[Assignment]) -> int:
    """Return the number of adapters that are overloaded in a placement, with fresh arrivals."""
    runs = simulate_many(
        Case(profile, a.server, workload.part(a.shares), stream_seed(FRESH_SEEDS[0], str(i)) >> 1)
        for i, a in enumerate(servers)
    )
    return sum(max((run.adapters["verdict"] != "ok").sum(), run.verdict != "ok") for run in runs)


def _with_figures(result: Result, plan: Plan) -> Result:
    checks = [verify(plan, seed) for seed in FRESH_SEEDS]
    runs = checks[0].runs
    weights = np.array([run.throughput for run in runs])
    return result._replace(
        gpus=plan.gpus,
        holds=plan.verified and all(check.ok for check in checks),
        merged=sum(server.server.merged for server in plan.servers),
        itl_mean=float(np.nansum(weights * np.array([run.itl.mean for run in runs])) / max(1e-9, weights.sum())),
        itl_p99=float(np.nanmax([run.itl.p99 for run in runs])),
        ttft_p99=float(np.nanmax([run.ttft.p99 for run in runs])),
        running=max(run.mean_running for run in runs),
        estimate=plan.estimated_optimum,
    )
