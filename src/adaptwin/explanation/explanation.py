"""Explanation: what limits the GPUs of a plan, their spare capacity, and which changes would save a GPU."""

import math
from typing import Literal

from pydantic import Field

from adaptwin.plan.forecast import Forecast
from adaptwin.spec import Spec
from adaptwin.twin.run import Verdict
from adaptwin.twin.server import Server
from adaptwin.workload.workload import Adapter

MOST_MORE = 500  # where the search for the number of additional adapters ends


class Latencies(Spec):
    """Latencies of a server's requests, in seconds."""

    ttft_p99: float
    itl_mean: float
    itl_p99: float
    in_system: float = Field(
        description="mean number of running and waiting requests: the sum of all latencies per second"
    )


class Addition(Spec):
    """The effect of one more adapter on a server, without a restart if possible."""

    verdict: Verdict = Field(description="with the headroom and margin of the plan")
    restart: Server | None = Field(default=None, description="new settings that the server needs; None if none")
    before: Latencies
    after: Latencies | None = Field(description="None if the server would not start")

    @property
    def ok(self) -> bool:
        """Whether the server would start and serve all adapters."""
        return self.after is not None and self.verdict == "ok"

    @property
    def harm(self) -> float:
        """Growth of the mean number of requests in the server, those of the new adapter included."""
        return math.inf if self.after is None else self.after.in_system - self.before.in_system


class Kin(Spec):
    """The average adapter of a server, and how many more like it the server could take without a restart."""

    rank: int
    rate: float
    more: int = Field(description=f"with the headroom and margin of the plan; at most {MOST_MORE}")

    @property
    def more_is_open(self) -> bool:
        """Whether the search ended without finding a limit: the server may be able to take more."""
        return self.more >= MOST_MORE


class ServerExplanation(Spec):
    """One GPU of a plan: what limits it, and its spare capacity."""

    server: str
    profile: str
    adapters: int
    max_loras: int
    max_lora_rank: int
    max_num_seqs: int
    loras: int = Field(description="adapters that need a slot")
    forecast: Forecast = Field(
        description="the server's forecast, with its headroom, its limit and a run just beyond it"
    )
    kin: Kin = Field(description="how many more adapters like its own it could take")
    addition: Addition = Field(description="the effect of the new adapter on it")


class Advice(Spec):
    """Where the new adapter should go: where latencies grow least."""

    action: Literal["load", "restart", "new GPU", "nowhere"]
    server: str | None = Field(default=None, description="server that loads the adapter, or restarts for it")
    max_lora_rank: int | None = Field(default=None, description="setting of the restarted or new server")
    max_loras: int | None = Field(default=None, description="setting of the restarted server")


class Saving(Spec):
    """A change, and an estimate of the number of GPUs that a plan with it needs."""

    change: str
    gpus: int


class Emptiest(Spec):
    """The GPU with the most headroom."""

    server: str
    request_rate: float
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
    saving: tuple[Saving, ...]
    emptiest: Emptiest | None


class Explanation(Spec):
    """An explanation of a plan. Latencies are in seconds, rates in requests/s."""

    gpus: int
    lower_bound: int
    newcomer: Adapter
    servers: tuple[ServerExplanation, ...]
    advice: Advice
    savings: Savings
