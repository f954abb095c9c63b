"""Check: what a verification of a plan found."""

from typing import NamedTuple

from adaptwin.plan.latency_limits import NO_LATENCY_LIMITS, LatencyLimits
from adaptwin.plan.plan import PlacedServer
from adaptwin.twin.run import Run


class FailoverCheck(NamedTuple):
    """Servers that fail, and the runs of those that take their adapters in, as they are then."""

    failed: tuple[str, ...]
    runs: list[Run]
    servers: tuple[PlacedServer, ...]
    latency_limits: LatencyLimits = NO_LATENCY_LIMITS

    @property
    def failures(self) -> list[str]:
        """What fails then, one line each."""
        lines = [line for index in self.failing for line in _failures(self.servers[index], self.runs[index], self)]
        return [f"without {' and '.join(self.failed)}: {line}" for line in lines]

    @property
    def failing(self) -> list[int]:
        """Positions of the servers that are overloaded, miss an objective or exceed a limit."""
        return _failing(self.runs, self.latency_limits)


class Check(NamedTuple):
    """The runs of a verification, in the order of the servers that serve adapters; and those of failovers."""

    runs: list[Run]
    servers: tuple[PlacedServer, ...]
    seed: int
    latency_limits: LatencyLimits = NO_LATENCY_LIMITS
    failovers: tuple[FailoverCheck, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no server and no adapter starves, waits in a growing queue or misses an objective."""
        return not self.failures

    @property
    def failures(self) -> list[str]:
        """What failed, one line each; empty when the plan holds."""
        lines = [line for index in self.failing for line in _failures(self.servers[index], self.runs[index], self)]
        return lines + [line for state in self.failovers for line in state.failures]

    @property
    def failing(self) -> list[int]:
        """Positions of the servers that are overloaded, miss an objective or exceed a limit while none has failed."""
        return _failing(self.runs, self.latency_limits)


def _failing(runs: list[Run], limits: LatencyLimits) -> list[int]:
    return [index for index, run in enumerate(runs) if run.worst != "ok" or not _is_within(run, limits)]


def _is_within(run: Run, limits: LatencyLimits) -> bool:
    return limits.holds(ttft_p99=run.ttft.p99, itl_p99=run.itl.p99)


def _failures(server: PlacedServer, run: Run, of: FailoverCheck | Check) -> list[str]:
    name = server.name
    by_verdict = run.adapters.filter(run.adapters["verdict"] != "ok").group_by("verdict").len().sort("verdict")
    lines = [f"{name}: {count} adapters {verdict}" for verdict, count in by_verdict.iter_rows()]
    if not lines and run.worst != "ok":
        lines = [f"{name}: server {run.verdict}"]
    if not _is_within(run, of.latency_limits):
        lines.append(f"{name}: TTFT p99 {run.ttft.p99:.3g} s, ITL p99 {1e3 * run.itl.p99:.3g} ms: above the limits")
    return lines
