"""TwinAdvice: what the twin says of a server in trouble, and of changes that may end it."""

from typing import Literal

from pydantic import Field

from adaptwin.spec import Spec
from adaptwin.twin.run import Grade, grade_of, worst_of

ChangeKind = Literal["move", "restart", "new server"]  # from the least intrusive to the most


class SimulatedServer(Spec):
    """What the twin says of one server. Latencies in seconds."""

    server: str = Field(description="name of the server")
    grade: Grade = Field(description="worst verdict among the server and its adapters, or sluggish")
    is_ok: bool = Field(description="whether all are ok, and the limits on latency are kept")
    ttft_p99: float = Field(description="99th percentile of the TTFT of finished requests, in seconds")
    itl_mean: float = Field(description="mean ITL, in seconds")
    waiting_at_end: int = Field(default=0, description="requests without a token at the end of the run")
    unserved: tuple[str, ...] = Field(default=(), description="adapters that are not ok")


class TriedChange(Spec):
    """A change of settings or of routes, and what the twin says of the servers that it touches."""

    kind: ChangeKind = Field(description="what it takes: calls of running servers, the restart of one, or a new server")
    what: str = Field(description="change, in words")
    steps: tuple[str, ...] = Field(description="commands and calls that make it, in their order")
    adapters: tuple[str, ...] = Field(default=(), description="adapters that go to another server")
    servers: tuple[SimulatedServer, ...] = Field(default=(), description="each server that it touches, with it")
    ends_it: bool = Field(default=False, description="whether all of them are ok with it")

    @property
    def ttft_p99(self) -> float:
        """The highest 99th percentile of the TTFT among the servers that it touches."""
        return max(server.ttft_p99 for server in self.servers)

    @property
    def grade(self) -> Grade:
        """The worst grade of the servers that it touches."""
        grades = {server.grade for server in self.servers}
        worst = worst_of(grades)
        return grade_of(worst, sluggish="sluggish" in grades)


class TwinAdvice(Spec):
    """What the twin says of a server in trouble."""

    factor: float = Field(description="factor on the expected rates of this server with which it was simulated")
    present: SimulatedServer | None = Field(description="the server as it runs; None if it would not start")
    sees_it: bool = Field(description="whether the twin sees trouble with the server as it runs")
    best: TriedChange | None = Field(
        default=None, description="the least intrusive change that ends the trouble; None if none of those tried does"
    )
    others: tuple[TriedChange, ...] = Field(default=(), description="the other changes that were tried")
