"""Replayed: the results of a replay, in the schema of simulated runs, and how the client itself did."""

import json
from typing import Any, Literal

from pydantic import Field

from adaptwin import file_kinds
from adaptwin.spec import IN_FILE, Line, Name, Spec
from adaptwin.twin.run import RunFigures
from adaptwin.twin.server import Server
from adaptwin.workload.workload import Workload


class Client(Spec):
    """How the client of a replay did: whether it kept up with what it had to send and to read."""

    late_p99: float = Field(ge=0, description="99th percentile of how late requests were sent, in seconds")
    late_most: float = Field(ge=0, description="how late the latest request was sent, in seconds")
    busy: float = Field(ge=0, description="processor time of the client over the time of the run")
    max_in_flight: int | None = Field(default=None, description="requests that it may have open; None: any number")
    most_in_flight: int = Field(ge=0, description="requests that it had open at most")
    complaint: Line = Field(default="", description="why the client was the bottleneck, in words; empty if it was not")


class ReplayedRun(RunFigures):
    """What one server did in a replay, as its client saw it; figures of its /metrics are None if it does not say.

    See `RunFigures` for rates, latencies and the table of adapters. TTFT and E2E count from the time at which a request
    was due.
    """

    name: Name = Field(description="name of the server, as in the plan")
    url: Line = Field(description="address of the server")
    profile: Name | None = Field(default=None, description="name of the profile that the plan or fleet has for it")
    server: Server | None = Field(default=None, description="settings that plan or fleet have for it; None: not known")
    workload: Workload = Field(description="adapters and their traffic")
    draws_own_requests: bool = Field(
        default=True, description="whether `seed` draws the requests of this server alone, so that the twin can, too"
    )
    base_model: Line = Field(description="name of the base model, as the server lists it")
    vllm_version: Line | None = Field(default=None, description="version of vLLM; None if the server does not say")
    running_at_end: int = Field(description="requests that were being answered at the end")
    waiting_at_end: int = Field(description="requests without a token at the end")
    rejected: int = Field(description="requests that the server refused as too long")
    failed: int = Field(default=0, description="requests that failed otherwise")
    errors: dict[str, int] = Field(default_factory=dict, description="failed requests, by what the server said")
    preemptions: int | None = Field(default=None, description="preemptions of requests")
    kv_cache_tokens: int | None = Field(default=None, description="size of the KV cache, in tokens")
    max_loras: int | None = Field(default=None, description="slots that the server reports")
    kv_usage: float | None = Field(default=None, description="share of the KV cache in use, mean over samples")
    mean_running: float | None = Field(default=None, description="running requests, mean over samples")
    mean_waiting: float | None = Field(default=None, description="waiting requests, mean over samples")
    mean_adapters: float | None = Field(default=None, description="adapters with running requests, mean over samples")
    steps: int | None = Field(default=None, description="steps of the engine")
    sample_every: float | None = Field(default=None, description="seconds between samples of /metrics")


class Replayed(Spec):
    """The results of a replay: one run for each server, and how the client did."""

    file_kind = file_kinds.REPLAY
    routing: Literal["one server", "plan", "round-robin", "routes file"] = Field(
        description="how requests were sent to servers"
    )
    started: Line = Field(description="when the replay began: date and time, UTC")
    client: Client = Field(description="how the client did")
    ended_early: Line = Field(default="", description="why the replay ended before its time, in words; empty if not")
    runs: tuple[ReplayedRun, ...] = Field(min_length=1, description="results, by server")

    def file_form(self) -> dict[str, Any]:
        """Return the results as plain data; a latency that was not measured is None."""
        form: dict[str, Any] = json.loads(self.model_dump_json(exclude_none=True, context=IN_FILE))
        return form
