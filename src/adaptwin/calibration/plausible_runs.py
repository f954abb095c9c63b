"""Plausible runs: compare the figures of whole benchmark runs with their workloads and with what GPUs can do at all."""

from collections.abc import Iterator

import numpy as np

from adaptwin.calibration.measurements import MeasuredRun, Measurements
from adaptwin.calibration.plausible_times import shortest_step
from adaptwin.errors import SpecError
from adaptwin.workload.demand.mean_lengths import tokens_per_adapter

LONGEST_TOKEN = 5.0  # seconds per output token; the twin's slowest measured server takes 0.4
MOST_SERVED = 3.0  # throughput over the tokens asked for, above which it is not plausible
LEAST_NOT_STARVED = 0.5  # the same, below which a run cannot be free of starvation
LATEST_CALM = 0.2  # median TTFT over the duration, above which a run cannot be free of starvation


def check_runs(measurements: Measurements) -> list[str]:
    """Return one sentence for everything that is doubtful about the runs.

    Raises:
        SpecError: A figure is not plausible, or contradicts another one; names the run.
    """
    least = float(shortest_step(measurements.setup, np.ones(1))[0])
    doubts: list[str] = []
    for index, run in enumerate(measurements.runs):
        for field, message in _impossible(run, least):
            raise SpecError(f"{message} (run {run.name!r})", f"runs[{index}].{field}")
        doubts += [f"runs[{index}].{field}: {message} (run {run.name!r})" for field, message in _doubtful(run)]
    return doubts


def _impossible(run: MeasuredRun, least: float) -> Iterator[tuple[str, str]]:
    for field in ("tpot_mean", "itl_mean"):
        seconds = getattr(run, field)
        if seconds is not None and not least <= seconds <= LONGEST_TOKEN:
            hint = "; is it in milliseconds?" if least <= seconds / 1e3 <= LONGEST_TOKEN else ""
            yield field, f"{seconds:g} s is not plausible: expected {least:.2g} to {LONGEST_TOKEN:g} s{hint}"
    asked = sum(tokens_per_adapter(run.workload).values())
    if run.throughput > MOST_SERVED * asked:
        yield "throughput", f"{run.throughput:,.4g} tokens/s are more than the {asked:,.4g} that are asked for"
    if not run.starved and run.throughput < LEAST_NOT_STARVED * asked:
        yield (
            "throughput",
            f"{run.throughput:,.4g} of the {asked:,.4g} tokens/s asked for are served, but starved is false",
        )
    latest = run.workload.duration * (1.0 if run.starved else LATEST_CALM)
    if run.ttft_p50 is not None and run.ttft_p50 > latest:
        hint = "; is it in milliseconds?" if run.ttft_p50 / 1e3 <= latest else ""
        starved = "starved" if run.starved else "not starved"
        yield (
            "ttft_p50",
            f"{run.ttft_p50:g} s is not plausible: expected at most {latest:g} s for a run that was {starved}{hint}",
        )


def _doubtful(run: MeasuredRun) -> Iterator[tuple[str, str]]:
    if run.itl_p99 is not None and run.itl_mean is not None and run.itl_p99 < run.itl_mean:
        yield "itl_p99", f"the 99th percentile of {run.itl_p99:g} s is below the mean of {run.itl_mean:g} s"
