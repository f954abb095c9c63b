"""summarise: turn a simulated scenario into a Run, the result that `simulate` returns."""

from typing import Any

import numpy as np
import polars as pl

from adaptwin.twin.assumptions import assumptions
from adaptwin.twin.extrapolation import extrapolations
from adaptwin.twin.played import Played
from adaptwin.twin.run import ADAPTER_COLUMNS, SERIES_COLUMNS, Run
from adaptwin.twin.server import Server
from adaptwin.twin.verdict import Judgement
from adaptwin.workload.drawing.requests import NANOSECONDS
from adaptwin.workload.workload import Workload


def summarise(played: Played, *, server: Server, seed: int) -> Run:
    """Return the run with all its figures, the table of adapters and, if it was recorded, the time series."""
    outcome, window = played.outcome, played.scenario.window
    return Run(
        profile=played.profile.name,
        server=server,
        duration=played.workload.duration,
        window="drain" if window.drain else "cut",
        warmup=window.warmup / NANOSECONDS,
        seed=seed,
        throughput=played.throughput,
        offered_throughput=played.offered_throughput,
        request_rate=played.request_rate,
        offered_request_rate=played.offered_request_rate,
        ttft=played.ttft,
        itl=played.itl,
        tpot=played.tpot,
        e2e=played.e2e,
        arrived=len(played.scenario.requests.arrival),
        finished=played.totals.served,
        running_at_end=played.running_at_end,
        waiting_at_end=played.waiting_at_end,
        never_admitted=played.never_admitted,
        rejected=played.rejected,
        preemptions=outcome.preemptions,
        adapter_loads=outcome.gpu_loads,
        disk_loads=outcome.disk_loads,
        adapter_load_time=outcome.load_time / NANOSECONDS,
        kv_cache_tokens=played.kv_cache_tokens,
        kv_usage=played.kv_usage,
        prefix_hit_rate=played.prefix_hit_rate,
        mean_running=played.mean_running,
        mean_waiting=played.mean_waiting,
        mean_adapters=played.mean_adapters,
        busy=played.busy,
        metrics_stall=played.metrics_stall,
        steps=outcome.steps,
        simulated=outcome.end / NANOSECONDS,
        verdict=played.judgement.server,
        sluggish=played.judgement.is_sluggish,
        assumptions=(*assumptions(played.workload, [(played.profile, server)]), *_client_limit(played)),
        extrapolations=extrapolations(played.profile, server, played.workload),
        adapters=adapter_table(
            played.workload,
            played.judgement,
            seconds=played.seconds,
            arriving_seconds=played.arriving_seconds,
            request_latency=played.profile.request_latency,
        ),
        series=_series(played),
    )


def _client_limit(played: Played) -> list[str]:
    """Return the limit on the client's open requests in words; empty where there is none."""
    limit = played.scenario.window.max_in_flight
    return [f"the client has at most {limit:,} requests open"] if limit else []


def adapter_table(
    workload: Workload, judgement: Judgement, *, seconds: float, arriving_seconds: float, request_latency: float
) -> pl.DataFrame:
    """Return the figures of every adapter in the columns `ADAPTER_COLUMNS`, one row per adapter.

    Args:
        workload: The adapters.
        judgement: The verdicts and the sums that they are based on.
        seconds: Length of the window after warm-up, over which tokens were served.
        arriving_seconds: Length of the time after warm-up in which requests arrived.
        request_latency: Seconds that API server and client add to the waits in the sums.
    """
    sums, adapters = judgement.by_adapter, workload.adapters
    itl = np.where(sums.gap_count > 0, sums.gap_sum / np.maximum(1, sums.gap_count) / NANOSECONDS, np.nan)
    columns: dict[str, Any] = {
        "name": [adapter.name for adapter in adapters],
        "rank": [adapter.rank for adapter in adapters],
        "arrivals": sums.arrivals,
        "finished": sums.finished,
        "rejected": sums.rejected,
        "offered_throughput": sums.offered_tokens / arriving_seconds,
        "throughput": sums.finished_tokens / seconds,
        "ttft_p50": sums.wait_p50 / NANOSECONDS + request_latency,
        "ttft_p99": sums.wait_p99 / NANOSECONDS + request_latency,
        "itl_mean": itl,
        "waiting_at_end": sums.waiting_at_end,
        "verdict": judgement.adapters,
        "sluggish": judgement.sluggish_adapters,
    }
    return pl.DataFrame(columns, schema=ADAPTER_COLUMNS)


def _series(played: Played) -> pl.DataFrame | None:
    scenario, samples = played.scenario, played.outcome.samples
    if not scenario.window.sample_every:
        return None
    columns = dict(zip(SERIES_COLUMNS, samples.T, strict=True))
    columns["time"] = columns["time"] / NANOSECONDS
    columns["kv_usage"] = columns["kv_usage"] / scenario.limits.kv_blocks
    return pl.DataFrame(columns)
