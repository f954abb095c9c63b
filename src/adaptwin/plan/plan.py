"""Plan: which adapters go on which server with which settings, and what the twin says of each."""

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from adaptwin.plan.failover import Failover
from adaptwin.plan.forecast import Forecast, TriedSlots
from adaptwin.plan.migration import Migration
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.traffic_share import TrafficShare
from adaptwin.profile.profile import Profile
from adaptwin.spec import Spec
from adaptwin.twin.server import Server
from adaptwin.workload.workload import Workload

Goal = Literal["gpus", "price", "latency", "throughput"]


class PlacedServer(Spec):
    """One server of a plan: its settings, and the adapters it serves with their share of traffic (1: all of it).

    One without adapters is a standby: it does not run until another fails, and starts with the settings of that one.
    """

    name: str
    profile: str
    server: Server
    adapters: dict[str, TrafficShare]
    forecast: Forecast | None = None
    choices: tuple[TriedSlots, ...] = Field(default=(), description="the values of max_loras around the chosen one")

    @property
    def is_standby(self) -> bool:
        """Whether it serves no adapters."""
        return not self.adapters


def unplaced(workload: Workload, servers: Sequence[PlacedServer]) -> dict[str, float]:
    """Adapters whose shares do not sum to one, with what they sum to."""
    shares = dict.fromkeys((adapter.name for adapter in workload.adapters), 0.0)
    for server in servers:
        for name, share in server.adapters.items():
            shares[name] += share
    return {name: share for name, share in shares.items() if abs(share - 1.0) > 1e-6}


class Plan(Spec):
    """A placement with everything needed to check it: what was asked, workload, profiles, seed."""

    moved: ClassVar[dict[str, str]] = {
        **{name: f"options.{name}" for name in ("objective", "strategy", "headroom", "constraints", "spare")},
        "bounds": "options.ttft_p99 and options.itl_p99",
        "guesses": "predictions",
    }

    options: PlanOptions
    seed: int
    margin: float = Field(default=0.0, description="share of traffic that the safety margin of the options came to")
    goal: Goal = Field(default="gpus", description="what the objective makes best")
    promises: bool = Field(default=True, description="whether the objective promises that no adapter starves")
    lower_bound: int = Field(description="no plan under these profiles can do with fewer GPUs")
    cost_bound: float | None = Field(default=None, description="nor cost less per hour; None where prices are unknown")
    verified: bool = Field(default=False, description="a twin run per GPU with fresh seeds found no adapter starving")
    verified_seeds: tuple[int, ...] = Field(default=(), description="the seeds of these runs, as `verify` takes them")
    planning_seconds: float = 0.0
    search_seconds: float = Field(default=0.0, ge=0, description="of these, until there was something to verify")
    time_limit_hit: bool = False
    twin_runs: int = Field(default=0, ge=0, description="questions of the search that the twin answered")
    predictions: int = Field(default=0, ge=0, description="answers of the surrogate that the search used")
    servers: tuple[PlacedServer, ...]
    profiles: tuple[Profile, ...]
    workload: Workload
    failover: tuple[Failover, ...] = Field(
        default=(),
        description="where adapters go when servers fail; with standbys, the next one serves when another server fails",
    )
    migration: Migration | None = Field(default=None, description="from the plan that ran before; of a replan")

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        """Servers name adapters and profiles that are there, and every adapter is served once."""
        known = {adapter.name for adapter in self.workload.adapters}
        for index, server in enumerate(self.servers):
            if server.profile not in {profile.name for profile in self.profiles}:
                raise ValueError(f"servers[{index}].profile: {server.profile!r} is not among the plan's profiles")
            for name in server.adapters:
                if name not in known:
                    raise ValueError(f"servers[{index}].adapters: {name!r} is not in the plan's workload")
        for name, share in unplaced(self.workload, self.servers).items():
            raise ValueError(f"servers: the shares of {name!r} sum to {share:g}, not to 1")
        for line in self.options.constraints.violations({server.name: server.adapters for server in self.servers}):
            raise ValueError(f"servers: {line}")
        return self

    @model_validator(mode="after")
    def _can_fail(self) -> Self:
        """Failovers route just the adapters of the servers that fail, to others, as the constraints ask."""
        bins = {server.name: server.adapters for server in self.servers}
        for index, failover in enumerate(self.failover):
            for line in failover.problems(bins, self.options.constraints):
                raise ValueError(f"failover[{index}]: {line}")
        return self

    @property
    def gpus(self) -> int:
        """How many GPUs (or tensor-parallel groups) the plan uses."""
        return len(self.servers)

    @property
    def factor(self) -> float:
        """Times the traffic that the servers must bear: headroom and margin."""
        return (1.0 + self.options.headroom) * (1.0 + self.margin)

    @property
    def cost_per_hour(self) -> float | None:
        """What the GPUs cost together; None where a price is unknown."""
        prices = [self.profile_of(server).price_per_hour for server in self.servers]
        return None if None in prices else sum(price for price in prices if price)

    @property
    def standbys(self) -> tuple[PlacedServer, ...]:
        """The servers that stand by for others to fail."""
        return tuple(server for server in self.servers if server.is_standby)

    def takers(self, failover: Failover) -> tuple[PlacedServer, ...]:
        """The servers that take adapters over when others fail, as they are then."""
        taken = failover.takers({server.name: server.adapters for server in self.servers})
        return tuple(
            server.model_copy(
                update={
                    "adapters": taken[server.name],
                    "server": failover.settings.get(server.name, server.server),
                    "forecast": None,
                    "choices": (),
                }
            )
            for server in self.servers
            if server.name in taken
        )

    def profile_of(self, server: PlacedServer) -> Profile:
        """The profile a server runs on."""
        return next(profile for profile in self.profiles if profile.name == server.profile)

    def workload_of(self, server: PlacedServer, seed: int | None = None) -> Workload:
        """The part of the workload that a server sees."""
        return self.workload.part(server.adapters, seed)
