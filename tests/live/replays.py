"""Results of replays made without a network: runs of the twin, told as a client would tell them, with any changes."""

from typing import Any

import polars as pl

from adaptwin.live.replayed import Client, Replayed, ReplayedRun
from adaptwin.profile.profile import Profile
from adaptwin.twin.run import Run, RunFigures
from adaptwin.twin.server import Server
from adaptwin.twin.simulate import simulate
from adaptwin.workload.workload import Workload

NO_PROBLEM = Client(late_p99=0.001, late_most=0.002, busy=0.1, most_in_flight=9)


def replayed_run(
    profile: Profile, server: Server, workload: Workload, *, slower: float = 1.0, seed: int = 0, **changes: Any
) -> ReplayedRun:
    """Return what the twin does, as the result of a replay in which all latencies are `slower` times as long."""
    run = simulate(profile, server, workload, seed=seed)
    shared = {name: getattr(run, name) for name in RunFigures.model_fields}
    shared |= {name: _slower(getattr(run, name), slower) for name in ("ttft", "itl", "tpot", "e2e")}
    shared["adapters"] = run.adapters.with_columns(pl.col("ttft_p50", "ttft_p99", "itl_mean") * slower)
    fields = {
        "name": "server",
        "url": "http://127.0.0.1:8000",
        "server": server,
        "workload": workload,
        "base_model": "llama",
        "vllm_version": profile.vllm_version,
        "running_at_end": run.running_at_end,
        "waiting_at_end": run.waiting_at_end,
        "rejected": 0,
        "mean_waiting": run.mean_waiting,
        "mean_running": run.mean_running,
    }
    return ReplayedRun(**{**shared, **fields, **changes})


def _slower(latency: Any, factor: float) -> Any:
    return type(latency)(**{part: value * factor for part, value in latency})


def replay_of(*runs: ReplayedRun, routing: str = "one server", client: Client = NO_PROBLEM, **changes: Any) -> Replayed:
    """Return a replay with these runs."""
    return Replayed(routing=routing, started="2026-11-28 11:00:00", client=client, runs=runs, **changes)


def run_of(profile: Profile, server: Server, workload: Workload, **settings: Any) -> Run:
    """Return the run of the twin that belongs to `replayed_run`."""
    return simulate(profile, server, workload, **{"seed": 0, **settings})
