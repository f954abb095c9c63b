"""Uncertainty: how much a run's figures vary with the seed, and how far a real server may be from them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from adaptwin.profile.profile import Profile
from adaptwin.twin.extrapolation import short_window, unmeasured_regime
from adaptwin.twin.run import Latency, Run, worst_of
from adaptwin.twin.verdict import SHORTEST_WINDOW

WIDENING = 1.15  # assumed factor of the spread for each respect in which a derived profile extrapolates
NINE_IN_TEN = 1.645  # standard deviations to either side of the mean that cover nine tenths of a normal distribution


def mean_of(runs: Sequence[Run]) -> Run:
    """Average repeated runs, and add 95 % intervals (normal approximation) for the metrics used in planning.

    The verdict on the server is the worst of theirs. A latency is averaged over the runs that measured it, and has an
    interval if at least two did.
    """
    update: dict[str, Any] = {"repeats": len(runs)}
    for name, value in runs[0]:
        values = [getattr(run, name) for run in runs]
        if isinstance(value, Latency):
            means = {part: _mean([getattr(v, part) for v in values]) for part in type(value).model_fields}
            update[name] = Latency(**means)
        elif isinstance(value, float):
            update[name] = float(np.mean(values))
        elif type(value) is int and name not in ("seed", "repeats", "kv_cache_tokens"):
            update[name] = round(float(np.mean(values)))
    update["verdict"] = worst_of([run.verdict for run in runs])
    update["sluggish"] = any(run.sluggish for run in runs)
    figures = {
        "throughput": [run.throughput for run in runs],
        "offered_throughput": [run.offered_throughput for run in runs],
        "itl.mean": [run.itl.mean for run in runs],
        "itl.p99": [run.itl.p99 for run in runs],
        "ttft.mean": [run.ttft.mean for run in runs],
        "ttft.p50": [run.ttft.p50 for run in runs],
        "ttft.p99": [run.ttft.p99 for run in runs],
        "e2e.p99": [run.e2e.p99 for run in runs],
    }
    update["confidence"] = {
        name: _interval(measured)
        for name, values in figures.items()
        if len(measured := [value for value in values if not math.isnan(value)]) > 1
    }
    return runs[0].model_copy(update=update)


def _mean(values: list[float]) -> float:
    """Mean of the values that were measured; NaN if there are none."""
    measured = [value for value in values if not math.isnan(value)]
    return float(np.mean(measured)) if measured else math.nan


def _interval(values: list[float]) -> tuple[float, float]:
    """95 % interval of the mean of figures that cannot be negative."""
    mean, half = float(np.mean(values)), 1.96 * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return max(0.0, mean - half), mean + half


def with_intervals(run: Run, profile: Profile) -> Run:
    """Return the run with 90 % intervals for the figures of a real server, if such servers were measured."""
    spread = profile.spread_in(run.regime)
    if (counted := run.duration - run.warmup) < SHORTEST_WINDOW:
        return run.model_copy(update={"extrapolations": (*run.extrapolations, short_window(counted, SHORTEST_WINDOW))})
    if not all(each.widens for each in run.extrapolations):
        return run
    if spread is None:
        return run.model_copy(update={"extrapolations": (unmeasured_regime(run.regime),)})
    figures = {
        "throughput": (run.throughput, spread.throughput),
        "itl.mean": (run.itl.mean, spread.itl),
        "ttft.p50": (run.ttft.p50, spread.ttft),
    }
    wider = WIDENING ** len(run.extrapolations)
    widths = {
        name: (value, NINE_IN_TEN * sigma * wider)
        for name, (value, sigma) in figures.items()
        if sigma is not None and value > 0
    }
    intervals = {name: (value * math.exp(-width), value * math.exp(width)) for name, (value, width) in widths.items()}
    return run.model_copy(update={"intervals": intervals})
