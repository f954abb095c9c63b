"""Explanation: what limits the GPUs of a plan, their spare capacity, and which changes would save a GPU."""

import math
from typing import Literal

from pydantic import Field

from adaptwin.lazy import function_from
from adaptwin.plan.forecast import Forecast
from adaptwin.spec import Name, Spec
from adaptwin.twin.run import Verdict
from adaptwin.twin.server import Server
from adaptwin.workload.workload import Adapter

MOST_MORE = 500  # where the search for the number of additional adapters ends


class Latencies(Spec):
    """Latencies of a server's requests, in seconds."""

    ttft_p99: float = Field(description="99th percentile of the TTFT, in seconds")
    itl_mean: float = Field(description="mean ITL, in seconds")
    itl_p99: float = Field(description="99th percentile of the ITL, in seconds")
    in_system: float = Field(
        description="mean number of running and waiting requests: the sum of all latencies per second"
    )


class Addition(Spec):
    """The effect of one more adapter on a server, without a restart if possible."""

    verdict: Verdict = Field(
        description="worst verdict with the new adapter, at the traffic that headroom and margin of the plan require"
    )
    restart: Server | None = Field(
        default=None, description="new settings that the server needs; None if it needs no restart"
    )
    before: Latencies = Field(description="latencies without the new adapter")
    after: Latencies | None = Field(description="latencies with the new adapter; None if the server would not start")

    @property
    def ok(self) -> bool:
        """Whether the server would start and serve all adapters."""
        return self.after is not None and self.verdict == "ok"

    @property
    def harm(self) -> float:
        """Growth of the mean number of requests in the server, those of the new adapter included."""
        return math.inf if self.after is None else self.after.in_system - self.before.in_system


class Unmerging(Spec):
    """What would come of serving an adapter with merged weights as a LoRA adapter again, on the same server."""

    adapter: Name = Field(description="name of the adapter")
    settings: Server = Field(description="settings that the server would restart with")
    verdict: Verdict = Field(
        description="worst verdict then, at the traffic that headroom and margin of the plan require"
    )
    before: Latencies = Field(description="latencies with merged weights")
    after: Latencies | None = Field(description="latencies as a LoRA adapter; None if the server would not start")


class Kin(Spec):
    """The average adapter of a server, and how many more like it the server could take without a restart."""

    rank: int = Field(description="LoRA rank of the average adapter")
    rate: float = Field(description="requests per second of the average adapter")
    more: int = Field(
        description="additional adapters that the server could take, with the headroom and margin of the plan; "
        f"at most {MOST_MORE}"
    )

    @property
    def more_is_open(self) -> bool:
        """Whether the search ended without finding a limit: the server may be able to take more."""
        return self.more >= MOST_MORE


class ServerExplanation(Spec):
    """One server of a plan: what limits it, and its spare capacity."""

    server: str = Field(description="name of the server")
    profile: str = Field(description="name of the server's profile")
    gpus: int = Field(default=1, description="GPUs of the server")
    adapters: int = Field(description="adapters on the server, the base model included")
    max_loras: int = Field(description="slots")
    max_lora_rank: int = Field(description="rank at which every slot is preallocated")
    max_num_seqs: int = Field(description="requests that may run at once")
    loras: int = Field(description="adapters that need a slot")
    forecast: Forecast = Field(
        description="the server's forecast, with its headroom, its limit and a run just beyond it"
    )
    unmerging: Unmerging | None = Field(
        default=None, description="what would come of serving it with LoRA, for a server with merged weights"
    )
    kin: Kin = Field(description="how many more adapters like its own it could take")
    addition: Addition = Field(description="the effect of the new adapter on it")


class Advice(Spec):
    """Where the new adapter should go: where latencies grow least."""

    action: Literal["load", "restart", "new GPU", "nowhere"] = Field(description="what to do to serve the adapter")
    server: str | None = Field(default=None, description="server that loads the adapter, or restarts for it")
    gpus: int | None = Field(default=None, description="GPUs of the new server")
    max_lora_rank: int | None = Field(default=None, description="setting of the restarted or new server")
    max_loras: int | None = Field(default=None, description="setting of the restarted server")
    unmerged: Name | None = Field(
        default=None, description="adapter whose weights are no longer merged on the restarted server; None if none is"
    )


class Saving(Spec):
    """A change, and an estimate of the number of GPUs that a plan with it needs."""

    change: str = Field(description="change, in words")
    gpus: int = Field(description="GPUs that a plan with the change is estimated to need")


class Emptiest(Spec):
    """The server with the most headroom."""

    server: str = Field(description="name of the server")
    request_rate: float = Field(description="requests per second that arrive")
    too_much: float | None = Field(
        description="share of its traffic that would have to go so that it can be given up; None if unknown"
    )


class Savings(Spec):
    """Changes that would save a GPU. All counts are estimates."""

    as_it_is: int | None = Field(
        description="GPUs that a new plan without changes is estimated to need; None if unknown"
    )
    tried: tuple[str, ...] = Field(description="changes with an estimate, including those that save nothing")
    unknown: tuple[str, ...] = Field(description="changes without an estimate: only a new plan can tell")
    saving: tuple[Saving, ...] = Field(description="changes that are estimated to save GPUs")
    emptiest: Emptiest | None = Field(
        description="server with the most headroom; None if the plan has fewer than two servers"
    )


class Explanation(Spec):
    """An explanation of a plan. Latencies are in seconds, rates in requests/s."""

    _facts = function_from("adaptwin.report.notebook.explanation_view", "explanation_facts")
    _repr_html_ = function_from("adaptwin.report.notebook.explanation_view", "explanation_html")

    gpus: int = Field(description="GPUs of the plan")
    lower_bound: int = Field(description="lower bound on the number of GPUs")
    assumptions: tuple[str, ...] = Field(default=(), description="what all figures assume, in words")
    newcomer: Adapter = Field(description="additional adapter whose effect was simulated")
    servers: tuple[ServerExplanation, ...] = Field(description="what limits each server, and its spare capacity")
    advice: Advice = Field(description="where the additional adapter should go")
    savings: Savings = Field(description="changes that would save a GPU")
