"""summarise: turn a simulated scenario into a Run, the result that `simulate` returns."""

from typing import Any

import numpy as np
import polars as pl

from adaptwin.twin.assumptions import assumptions
from adaptwin.twin.extrapolation import extrapolations
from adaptwin.twin.played import Played
from adaptwin.twin.run import ADAPTER_COLUMNS, SERIES_COLUMNS, Run
from adaptwin.twin.server import Server
from adaptwin.workload.drawing.requests import NANOSECONDS


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
        adapters=_adapter_table(played),
        series=_series(played),
    )


def _client_limit(played: Played) -> list[str]:
    """Return the limit on the client's open requests in words; empty where there is none."""
    limit = played.scenario.window.max_in_flight
    return [f"the client has at most {limit:,} requests open"] if limit else []


def _adapter_table(played: Played) -> pl.DataFrame:
    sums, adapters, latency = played.judgement.by_adapter, played.workload.adapters, played.profile.request_latency
    itl = np.where(sums.gap_count > 0, sums.gap_sum / np.maximum(1, sums.gap_count) / NANOSECONDS, np.nan)
    columns: dict[str, Any] = {
        "name": [adapter.name for adapter in adapters],
        "rank": [adapter.rank for adapter in adapters],
        "arrivals": sums.arrivals,
        "finished": sums.finished,
        "rejected": sums.rejected,
        "offered_throughput": sums.offered_tokens / played.arriving_seconds,
        "throughput": sums.finished_tokens / played.seconds,
        "ttft_p50": sums.wait_p50 / NANOSECONDS + latency,
        "ttft_p99": sums.wait_p99 / NANOSECONDS + latency,
        "itl_mean": itl,
        "waiting_at_end": sums.waiting_at_end,
        "verdict": played.judgement.adapters,
        "sluggish": played.judgement.sluggish_adapters,
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
