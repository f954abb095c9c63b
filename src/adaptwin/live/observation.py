"""Observation: one measured run of one server, by whichever tool, in terms that the runs of the twin share."""

import math
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl

from adaptwin.calibration.measurements import MeasuredRun
from adaptwin.calibration.sources.bench_result import BenchResult
from adaptwin.live.replayed import ReplayedRun
from adaptwin.twin.run import Grade, RunFigures
from adaptwin.twin.server import Server
from adaptwin.workload.workload import Workload

COMPARED_FIGURES = (  # as attributes of a run, in the order of the tables
    "throughput",
    "request_rate",
    "ttft.mean",
    "ttft.p50",
    "ttft.p99",
    "itl.mean",
    "itl.p99",
    "tpot.mean",
    "e2e.p50",
    "e2e.p99",
    "mean_running",
    "mean_waiting",
    "preemptions",
    "kv_cache_tokens",
)


class Conditions(NamedTuple):
    """What a run was made under; None where it is not known."""

    duration: float | None = None  # seconds of arrivals
    window: Literal["cut", "drain"] | None = None
    warmup: float | None = None  # seconds
    seed: int | None = None  # of the requests, if it draws them and no others
    request_rate: float | None = None  # requests per second that were offered
    tokens_per_request: float | None = None  # prompt and answer, mean


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """One measured run of one server; None where the file does not say."""

    source: ReplayedRun | MeasuredRun | BenchResult
    file: Path
    place: str = ""  # in the file, such as runs[0]
    name: str  # of the server or of the run
    figures: dict[str, float | None]  # by `COMPARED_FIGURES`
    conditions: Conditions
    grade: Grade | None = None  # verdict on the server
    starved: bool | None = None
    adapters: pl.DataFrame | None = None  # figures of every adapter, as in `RunFigures`
    server: Server | None = None
    workload: Workload | None = None
    max_in_flight: int | None = None  # requests that the client may have open at this server
    ended_early: bool = False
    doubts: tuple[str, ...] = ()  # what blurs any comparison, in words

    def at(self, field: str) -> str:
        """Return the path of a field in the file."""
        return f"{self.place}.{field}" if self.place else field


def figures_of_run(run: RunFigures) -> dict[str, float | None]:
    """Return the compared figures of a run, simulated or replayed; latencies in seconds, None where unknown."""
    return {name: finite(attrgetter(name)(run)) for name in COMPARED_FIGURES}


def conditions_of_run(run: RunFigures) -> Conditions:
    """Return what a run, simulated or replayed, was made under."""
    rate, tokens = run.offered_request_rate, run.offered_throughput
    return Conditions(run.duration, run.window, run.warmup, run.seed, rate, tokens / rate if rate else None)


def finite(value: float | None) -> float | None:
    """Return a value, or None where it is none or no finite number."""
    return None if value is None or not math.isfinite(value) else float(value)
