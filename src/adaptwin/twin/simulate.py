"""simulate: a server under a workload -> Run."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import joblib
import numpy as np
import polars as pl

from adaptwin.errors import SpecError
from adaptwin.profile.profile import Profile
from adaptwin.twin import statistics
from adaptwin.twin.compilation import compile_twin
from adaptwin.twin.kernel.play import play
from adaptwin.twin.run import ADAPTER_COLUMNS, SERIES_COLUMNS, Latency, Run
from adaptwin.twin.scenario import Outcome, Scenario, make_scenario
from adaptwin.twin.server import Server
from adaptwin.twin.verdict import Judgement, judge
from adaptwin.workload.drawing.requests import NANOSECONDS
from adaptwin.workload.workload import Workload

NINE_IN_TEN = 1.645  # standard deviations to either side that hold nine tenths of a normal variate


class Case(NamedTuple):
    """One question to the twin."""

    profile: Profile
    server: Server
    workload: Workload
    seed: int | None = None


def simulate(
    profile: Profile,
    server: Server,
    workload: Workload,
    *,
    seed: int | None = None,
    repeats: int = 1,
    window: Literal["cut", "drain"] = "cut",
    warmup: float = 0.0,
    max_in_flight: int | None = None,
    record: bool = False,
    scrape_every: float | None = None,
) -> Run:
    """Simulate one server under a workload.

    Args:
        profile: What the hardware costs.
        server: vLLM's settings; what is None takes vLLM's default for the profile.
        workload: Adapters, traffic and the length of the window; left as it is.
        seed: Of all random draws; None takes the workload's.
        repeats: Runs with seeds ``seed, seed + 1, ...``; above 1 the run holds means, and 95 % intervals
            in `Run.confidence`. Its table of adapters is that of the first seed.
        window: ``"cut"`` stops the clock at the workload's duration, and unfinished requests count for nothing in
            the throughput, as in a benchmark of fixed length; ``"drain"`` lets all requests finish.
        warmup: Seconds at the start that are left out of every figure.
        max_in_flight: Requests that the client can have open at once; more wait in the client. None: no limit.
        record: Keep a time series with one row per second (`Run.series`).
        scrape_every: Seconds between scrapes of ``/metrics``, during which the API server stands still for as long as
            the profile's scrape cost says. None: nobody scrapes.

    Raises:
        OutOfMemory: vLLM would refuse to start with these settings.
        SpecError: The server cannot load an adapter of the workload, or an argument is out of range.
    """
    seed = workload.seed if seed is None else seed
    _require_in_range(workload, seed, repeats, window, warmup, max_in_flight, scrape_every)
    compile_twin()
    runs = []
    for repeat in range(repeats):
        scenario = make_scenario(
            profile,
            server,
            workload,
            seed=seed + repeat,
            drain=window == "drain",
            warmup=warmup,
            max_in_flight=max_in_flight,
            sample_every=1.0 if record else 0.0,
            scrape_every=scrape_every,
        )
        runs.append(_run(profile, server, workload, scenario, play(scenario), seed + repeat))
    return _with_intervals(runs[0] if repeats == 1 else _mean(runs), profile)


def _require_in_range(
    workload: Workload,
    seed: int,
    repeats: int,
    window: str,
    warmup: float,
    max_in_flight: int | None,
    scrape_every: float | None,
) -> None:
    """Raise `SpecError` for an argument of `simulate` that makes no sense."""
    for name, value, low, high in (
        ("seed", seed, 0, math.inf),
        ("repeats", repeats, 1, math.inf),
        ("warmup", warmup, 0, math.nextafter(workload.duration, 0)),
        ("max_in_flight", 1 if max_in_flight is None else max_in_flight, 1, math.inf),
        ("scrape_every", 1.0 if scrape_every is None else scrape_every, 0.001, 1e9),
    ):
        if not low <= value <= high:
            raise SpecError(f"{value} must be from {low} to {high:g}", name)
    if window not in ("cut", "drain"):
        raise SpecError(f"{window!r} is not one of cut, drain", "window")


def simulate_many(cases: Iterable[Case | tuple[Profile, Server, Workload]], *, jobs: int = -1) -> list[Run]:
    """Simulate many cases on all cores, or on `jobs` of them; the runs come in the order of the cases.

    The kernel releases the interpreter lock, so threads are enough and nothing is copied between processes.
    """
    work = [Case(*case) for case in cases]
    compile_twin()
    calls = (joblib.delayed(simulate)(case.profile, case.server, case.workload, seed=case.seed) for case in work)
    return list(joblib.Parallel(n_jobs=jobs, prefer="threads")(calls))


def _run(profile: Profile, server: Server, workload: Workload, scenario: Scenario, outcome: Outcome, seed: int) -> Run:
    judgement = judge(profile, workload, scenario, outcome)
    sums = judgement.totals
    window, limits = scenario.window, scenario.limits
    end = outcome.end if window.drain else window.end
    seconds = max(1, end - window.warmup) / NANOSECONDS
    arriving = max(1, window.end - window.warmup) / NANOSECONDS
    gaps = int(outcome.gaps.sum())
    in_client = len(scenario.requests.arrival) - outcome.arrived
    running, rejected = np.count_nonzero(outcome.running), int(judgement.by_adapter.rejected.sum())
    waiting = outcome.arrived - sums.served - running - rejected
    fields: dict[str, Any] = {
        "throughput": sums.finished_tokens / seconds,
        "offered_throughput": sums.offered_tokens / arriving,
        "request_rate": sums.finished / seconds,
        "offered_request_rate": sums.arrivals / arriving,
        "ttft": statistics.latency(sums.ttft, sums.ttft_sum, sums.finished),
        "itl": statistics.latency(outcome.gaps, outcome.gap_sum, gaps),
        "tpot": statistics.latency(sums.tpot, sums.tpot_sum, sums.tpot_count),
        "e2e": statistics.latency(sums.e2e, sums.e2e_sum, sums.finished),
        "arrived": len(scenario.requests.arrival),
        "finished": sums.served,
        "running_at_end": running,
        # Without a limit on the client, those that came during the last step are simply waiting.
        "waiting_at_end": waiting + (0 if window.max_in_flight else in_client),
        "never_admitted": in_client if window.max_in_flight else 0,
        "rejected": rejected,
        "preemptions": outcome.preemptions,
        "adapter_loads": outcome.gpu_loads,
        "disk_loads": outcome.disk_loads,
        "adapter_load_time": outcome.load_time / NANOSECONDS,
        "kv_cache_tokens": (limits.kv_blocks + 1) * limits.block_size,
        "kv_usage": outcome.kv_time / seconds / limits.kv_blocks,
        "mean_running": outcome.running_time / seconds,
        "mean_waiting": outcome.waiting_time / seconds,
        "mean_adapters": outcome.adapter_time / seconds,
        "busy": outcome.busy_time / seconds,
        "metrics_stall": outcome.stalled / NANOSECONDS / seconds,
        "steps": outcome.steps,
        "simulated": outcome.end / NANOSECONDS,
    }
    return Run(
        profile=profile.name,
        server=server,
        duration=workload.duration,
        window="drain" if window.drain else "cut",
        warmup=window.warmup / NANOSECONDS,
        seed=seed,
        verdict=judgement.server,
        adapters=_adapter_table(profile, workload, judgement, seconds, arriving),
        series=_series(scenario, outcome),
        **fields,
    )


def _adapter_table(
    profile: Profile,
    workload: Workload,
    judgement: Judgement,
    seconds: float,
    arriving: float,
) -> pl.DataFrame:
    sums = judgement.by_adapter
    itl = np.where(sums.gap_count > 0, sums.gap_sum / np.maximum(1, sums.gap_count) / NANOSECONDS, np.nan)
    columns: dict[str, Any] = {
        "name": [adapter.name for adapter in workload.adapters],
        "rank": [adapter.rank for adapter in workload.adapters],
        "arrivals": sums.arrivals,
        "finished": sums.finished,
        "rejected": sums.rejected,
        "offered_throughput": sums.offered_tokens / arriving,
        "throughput": sums.finished_tokens / seconds,
        "ttft_p50": sums.wait_p50 / NANOSECONDS + profile.request_latency,
        "ttft_p99": sums.wait_p99 / NANOSECONDS + profile.request_latency,
        "itl_mean": itl,
        "waiting_at_end": sums.waiting_at_end,
        "verdict": judgement.adapters,
    }
    return pl.DataFrame(columns, schema=ADAPTER_COLUMNS)


def _series(scenario: Scenario, outcome: Outcome) -> pl.DataFrame | None:
    if not scenario.window.sample_every:
        return None
    table = pl.DataFrame(outcome.samples, schema=list(SERIES_COLUMNS), orient="row")
    times = outcome.samples[:, 0] / NANOSECONDS
    usage = outcome.samples[:, SERIES_COLUMNS.index("kv_usage")] / scenario.limits.kv_blocks
    return table.with_columns(time=pl.Series(times), kv_usage=pl.Series(usage))


def _mean(runs: Sequence[Run]) -> Run:
    """Means over repeats, with 95 % intervals (normal approximation) for the metrics people plan by."""
    update: dict[str, Any] = {"repeats": len(runs)}
    for name, value in runs[0]:
        values = [getattr(run, name) for run in runs]
        if isinstance(value, Latency):
            means = {part: float(np.mean([getattr(v, part) for v in values])) for part in type(value).model_fields}
            update[name] = Latency(**means)
        elif isinstance(value, float):
            update[name] = float(np.mean(values))
        elif type(value) is int and name not in ("seed", "repeats", "kv_cache_tokens"):
            update[name] = round(float(np.mean(values)))
    update["confidence"] = {
        "throughput": _interval([run.throughput for run in runs]),
        "offered_throughput": _interval([run.offered_throughput for run in runs]),
        "itl.mean": _interval([run.itl.mean for run in runs]),
        "itl.p99": _interval([run.itl.p99 for run in runs]),
        "ttft.mean": _interval([run.ttft.mean for run in runs]),
        "ttft.p50": _interval([run.ttft.p50 for run in runs]),
        "ttft.p99": _interval([run.ttft.p99 for run in runs]),
        "e2e.p99": _interval([run.e2e.p99 for run in runs]),
    }
    return runs[0].model_copy(update=update)


def _with_intervals(run: Run, profile: Profile) -> Run:
    """The run with 90 % intervals for what a real server would show, where the profile's spread is known."""
    spread = profile.spread_in(run.regime)
    if spread is None:
        return run
    figures = {
        "throughput": (run.throughput, spread.throughput),
        "itl.mean": (run.itl.mean, spread.itl),
        "ttft.p50": (run.ttft.p50, spread.ttft),
    }
    intervals = {
        name: (value * math.exp(-NINE_IN_TEN * sigma), value * math.exp(NINE_IN_TEN * sigma))
        for name, (value, sigma) in figures.items()
        if sigma is not None and value > 0
    }
    return run.model_copy(update={"intervals": intervals})


def _interval(values: list[float]) -> tuple[float, float]:
    mean, half = float(np.mean(values)), 1.96 * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return mean - half, mean + half
