"""Explanation: why a plan is as it is, what its servers could still take, and what would save a GPU."""

import math
from typing import Literal

from pydantic import Field

from adaptwin.plan.forecast import Forecast
from adaptwin.spec import Spec
from adaptwin.twin.run import Verdict
from adaptwin.twin.server import Server
from adaptwin.workload.workload import Adapter

MOST_MORE = 500  # adapters more than these are not searched for


class Latencies(Spec):
    """Of a server's requests, in seconds."""

    ttft_p99: float
    itl_mean: float
    itl_p99: float
    in_system: float = Field(description="requests that run or wait, on average: the sum of all latencies, per second")


class Addition(Spec):
    """What one more adapter would do to a server; without a restart if that can be."""

    verdict: Verdict = Field(description="with the headroom and margin of the plan")
    restart: Server | None = Field(default=None, description="settings that it needs; None: those it has")
    before: Latencies
    after: Latencies | None = Field(description="None where the server would not start")

    @property
    def ok(self) -> bool:
        """Whether all adapters would be served."""
        return self.after is not None and self.verdict == "ok"

    @property
    def harm(self) -> float:
        """By how much the sum of all latencies grows, the newcomer's own included."""
        return math.inf if self.after is None else self.after.in_system - self.before.in_system


class Kin(Spec):
    """An adapter like those that a server has, and how many more of them it takes as it is."""

    rank: int
    rate: float
    more: int = Field(description=f"with the headroom and margin of the plan; {MOST_MORE} at most are searched for")

    @property
    def more_is_open(self) -> bool:
        """Whether the search ended without a limit: the server may take still more."""
        return self.more >= MOST_MORE


class ServerExplanation(Spec):
    """One GPU of a plan: what binds it, and what more it could take."""

    server: str
    profile: str
    adapters: int
    max_loras: int
    max_lora_rank: int
    max_num_seqs: int
    loras: int = Field(description="adapters that need a slot")
    forecast: Forecast = Field(description="with what binds it, its headroom, and what it does just beyond that")
    kin: Kin = Field(description="more adapters like its own")
    addition: Addition = Field(description="the newcomer on it")


class Advice(Spec):
    """Where the newcomer does least harm."""

    action: Literal["load", "restart", "new GPU", "nowhere"]
    server: str | None = Field(default=None, description="on which it is loaded, or which is restarted for it")
    max_lora_rank: int | None = Field(default=None, description="of the restarted server, or the new one")
    max_loras: int | None = Field(default=None, description="of the restarted server")


class Saving(Spec):
    """A change, and how many GPUs a new plan would likely have."""

    change: str
    gpus: int


class Emptiest(Spec):
    """The GPU with the most headroom."""

    server: str
    request_rate: float
    too_much: float | None = Field(description="share of its traffic that must go for it to be given up, if known")


class Savings(Spec):
    """What would save a GPU. All counts are estimates."""

    as_it_is: int | None = Field(description="GPUs that a new plan of the same would likely have, if known")
    tried: tuple[str, ...] = Field(description="changes, those that save nothing included")
    unknown: tuple[str, ...] = Field(description="changes of which nothing can be said without a plan")
    saving: tuple[Saving, ...]
    emptiest: Emptiest | None


class Explanation(Spec):
    """Why a plan is as it is. Latencies in seconds, rates in requests/s."""

    gpus: int
    lower_bound: int
    newcomer: Adapter
    servers: tuple[ServerExplanation, ...]
    advice: Advice
    savings: Savings
