"""verify: does a plan hold? One twin run per GPU, with a seed the planner did not use."""

from typing import NamedTuple

from adaptwin.placement.bounds import LatencyBounds
from adaptwin.placement.plan import PlacedServer, Plan
from adaptwin.twin.run import Run
from adaptwin.twin.simulate import Case, simulate_many
from adaptwin.workload.requests import stream_seed


class Check(NamedTuple):
    """The runs of a verification, in the order of the plan's servers."""

    runs: list[Run]
    servers: tuple[PlacedServer, ...]
    seed: int
    bounds: LatencyBounds = LatencyBounds()

    @property
    def ok(self) -> bool:
        """Whether no server and no adapter starves, waits in a growing queue or misses an objective."""
        return not self.failures

    @property
    def failures(self) -> list[str]:
        """What failed, one line each; empty when the plan holds."""
        return [line for index in self.failing for line in self._failures(index)]

    @property
    def failing(self) -> list[int]:
        """Servers where somebody suffers or a bound is missed, by position."""
        return [index for index, run in enumerate(self.runs) if run.worst != "ok" or not self._within_bounds(run)]

    def _within_bounds(self, run: Run) -> bool:
        return self.bounds.holds(ttft_p99=run.ttft.p99, itl_p99=run.itl.p99)

    def _failures(self, index: int) -> list[str]:
        name, run = self.servers[index].name, self.runs[index]
        by_verdict = run.adapters.filter(run.adapters["verdict"] != "ok").group_by("verdict").len().sort("verdict")
        lines = [f"{name}: {count} adapters {verdict}" for verdict, count in by_verdict.iter_rows()]
        if not lines and run.worst != "ok":
            lines = [f"{name}: server {run.verdict}"]
        if not self._within_bounds(run):
            lines.append(f"{name}: TTFT p99 {run.ttft.p99:.3g} s, ITL p99 {1e3 * run.itl.p99:.3g} ms: above the bounds")
        return lines


def verify(plan: Plan, seed: int = 1, *, jobs: int = -1) -> Check:
    """Play every server of the plan under its part of the traffic.

    Args:
        plan: The plan; it carries its workload and profiles.
        seed: Of the arrivals and lengths; take another than the plan's.
        jobs: Cores to use; -1 is all.

    Raises:
        OutOfMemory: A server of the plan would not start.
    """
    cases = [
        Case(plan.profile_of(server), server.server, part, server_seed(seed, server.name))
        for server, part in zip(plan.servers, plan.workload.parts(s.adapters for s in plan.servers), strict=True)
    ]
    return Check(simulate_many(cases, jobs=jobs), plan.servers, seed, plan.bounds)


def server_seed(seed: int, server: str) -> int:
    """Servers draw apart, so that parts of a split adapter do not get the same arrivals."""
    return stream_seed(seed, server) >> 1
