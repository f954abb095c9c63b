"""Check: the result of verifying a plan."""

from collections import Counter
from typing import NamedTuple

from adaptwin.lazy import function_from
from adaptwin.plan.latency_limits import NO_LATENCY_LIMITS, LatencyLimits
from adaptwin.plan.plan import PlacedServer
from adaptwin.twin.run import VERDICTS, Run


class FailoverCheck(NamedTuple):
    """Servers that fail together, and simulated runs of the servers that take over their adapters."""

    failed: tuple[str, ...]
    runs: list[Run]
    servers: tuple[PlacedServer, ...]
    latency_limits: LatencyLimits = NO_LATENCY_LIMITS

    @property
    def failures(self) -> list[str]:
        """What goes wrong after the failure, one line each; empty when all adapters are still served."""
        lines = [line for index in self.failing for line in _failures(self.servers[index], self.runs[index], self)]
        return [f"with {' and '.join(self.failed)} failed: {line}" for line in lines]

    @property
    def failing(self) -> list[int]:
        """Positions of the `servers` that are overloaded, miss an objective or exceed a limit after the failure."""
        return _failing(self.runs, self.latency_limits)


class Check(NamedTuple):
    """The result of a verification: a run of every server that serves adapters, and the checks of the failovers."""

    runs: list[Run]  # a simulated run of each of the servers
    servers: tuple[PlacedServer, ...]  # the servers that serve adapters
    seed: int  # the seed that was verified with
    latency_limits: LatencyLimits = NO_LATENCY_LIMITS  # limits that every server must keep
    failovers: tuple[FailoverCheck, ...] = ()  # a check of each planned failure
    assumptions: tuple[str, ...] = ()  # what the figures assume, in words
    gpus: int | None = None  # GPUs of the servers; None: one each

    def __repr__(self) -> str:
        return str(function_from("adaptwin.report.notebook.check_view", "check_line")(self))

    def _repr_html_(self) -> str:
        return str(function_from("adaptwin.report.notebook.check_view", "check_html")(self))

    @property
    def ok(self) -> bool:
        """Whether every server and every adapter is ok: not overloaded, within its objectives and the limits."""
        return not self.failures

    @property
    def failures(self) -> list[str]:
        """What went wrong, one line each; empty when the plan holds."""
        lines = [line for index in self.failing for line in _failures(self.servers[index], self.runs[index], self)]
        return lines + [line for state in self.failovers for line in state.failures]

    @property
    def failing(self) -> list[int]:
        """Positions of the `servers` that are overloaded, miss an objective or exceed a limit while all of them run."""
        return _failing(self.runs, self.latency_limits)


def _failing(runs: list[Run], limits: LatencyLimits) -> list[int]:
    return [index for index, run in enumerate(runs) if run.worst != "ok" or not _is_within(run, limits)]


def _is_within(run: Run, limits: LatencyLimits) -> bool:
    return limits.holds(ttft_p99=run.ttft.p99, itl_p99=run.itl.p99)


def _failures(server: PlacedServer, run: Run, of: FailoverCheck | Check) -> list[str]:
    name = server.name
    verdicts = Counter(run.adapters["verdict"])
    lines = [
        f"{name}: {verdicts[verdict]} {'adapter' if verdicts[verdict] == 1 else 'adapters'} {verdict}"
        for verdict in VERDICTS
        if verdicts[verdict] and verdict != "ok"
    ]
    if not lines and run.worst != "ok":
        lines = [f"{name}: server {run.verdict}"]
    if not _is_within(run, of.latency_limits):
        lines.append(f"{name}: TTFT p99 {run.ttft.p99:.3g} s, ITL p99 {1e3 * run.itl.p99:.3g} ms: above the limits")
    return lines
