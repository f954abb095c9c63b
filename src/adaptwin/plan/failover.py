"""Failover: where adapters go when their servers fail."""

from collections.abc import Collection, Mapping
from typing import Annotated

from pydantic import Field

from adaptwin.plan.constraints import Constraints
from adaptwin.plan.traffic_share import TrafficShare
from adaptwin.spec import Name, Spec
from adaptwin.twin.server import Server

AdaptersByServer = Mapping[str, Mapping[str, float]]  # server: its adapters, with their shares of traffic


class Failover(Spec):
    """What to do when these servers fail together: their adapters are routed to other servers, all others stay.

    A running server loads the adapters without a restart. A standby starts first, with the settings given here.
    """

    failed: Annotated[tuple[Name, ...], Field(min_length=1)] = Field(
        description="names of the servers that fail together"
    )
    routes: dict[Name, dict[Name, TrafficShare]] = Field(
        description="servers that take over each adapter's requests, with their shares, by adapter"
    )
    settings: dict[Name, Server] = Field(
        default_factory=dict, description="settings of the standbys that start, by standby"
    )
    ttft_p99: float | None = Field(
        default=None, description="TTFT p99 of the slowest server that takes over adapters, in seconds"
    )
    itl_p99: float | None = Field(
        default=None, description="ITL p99 of the slowest server that takes over adapters, in seconds"
    )

    def takers(self, before: AdaptersByServer) -> dict[str, dict[str, float]]:
        """Return the servers that take over adapters, with all that they serve afterwards.

        `before` has what every server of the plan served before the failure.
        """
        taken: dict[str, dict[str, float]] = {}
        for name, route in self.routes.items():
            for server, share in route.items():
                if before[server].get(name) != share:
                    taken.setdefault(server, dict(before[server]))[name] = share
        return taken

    def problems(self, before: AdaptersByServer, constraints: Constraints) -> list[str]:
        """List the inconsistencies of the failover, one line each; `before` has what every server served."""
        if unknown := (set(self.failed) | {server for route in self.routes.values() for server in route}) - set(before):
            return [f"{name!r} is not a server of the plan" for name in sorted(unknown)]
        lost = {name for server in self.failed for name in before[server]}
        lines = [f"{name!r} is not on {_all(self.failed)}" for name in sorted(set(self.routes) - lost)]
        lines += [f"{name!r} has no route" for name in sorted(lost - set(self.routes))]
        for name, route in self.routes.items():
            lines += [f"{name!r} is routed to {server}, which failed" for server in self.failed if server in route]
            if abs(sum(route.values()) - 1.0) > 1e-6:
                lines.append(f"the shares of {name!r} sum to {sum(route.values()):g}, not to 1")
        then = {server: shares for server, shares in before.items() if server not in self.failed}
        return lines + without(self.failed, constraints).violations({**then, **self.takers(before)})


def without(failed: Collection[str], constraints: Constraints) -> Constraints:
    """Return the constraints that remain when servers fail: the adapters pinned to them may go to any server."""
    pinned = {name: server for name, server in constraints.pinned.items() if server not in failed}
    return constraints.model_copy(update={"pinned": pinned})


def _all(servers: Collection[str]) -> str:
    return " or ".join(servers)
