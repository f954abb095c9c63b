"""Plan: the adapters and the settings of every server, with its simulated performance."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from adaptwin import file_kinds
from adaptwin.lazy import function_from
from adaptwin.plan.confidence import Confidence
from adaptwin.plan.decisions import Alternative, Decision
from adaptwin.plan.failover import Failover
from adaptwin.plan.forecast import Forecast, TriedSlots
from adaptwin.plan.inconsistencies import inconsistencies
from adaptwin.plan.migration import Migration
from adaptwin.plan.options import PlanOptions
from adaptwin.plan.plan_rows import plan_rows
from adaptwin.plan.planned_settings import PLANNED
from adaptwin.plan.served_adapters import require_servable
from adaptwin.plan.stress import Stress
from adaptwin.plan.traffic_share import TrafficShare
from adaptwin.profile.profile import Profile
from adaptwin.spec import Line, Name, Spec
from adaptwin.twin.server import Server
from adaptwin.workload.workload import Workload

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_MEANT = 0.005  # GPUs by which an estimate may exceed a whole number that is meant
Goal = Literal["gpus", "price", "latency", "throughput"]


class PlacedServer(Spec):
    """One server of a plan: its settings and its adapters, each with the share of its traffic (1 is all of it).

    A server without adapters is a standby: it does not run until another server fails, and then starts with the
    settings of that server.
    """

    _facts = function_from("adaptwin.report.notebook.plan_view", "placed_server_facts")

    name: Name = Field(description="name of the server, such as gpu-0")
    profile: Name = Field(description="name of the server's profile, among the profiles of the plan")
    server: Server = Field(description="vLLM settings of the server")
    adapters: dict[Name, TrafficShare] = Field(
        description="share of each adapter's requests that the server gets, by adapter; empty for a standby"
    )
    forecast: Forecast | None = Field(
        default=None, description="simulated performance of the server; None for a standby"
    )
    choices: tuple[TriedSlots, ...] = Field(
        default=(), description="the chosen max_loras and values near it, as simulated"
    )
    decisions: tuple[Decision, ...] = Field(
        default=(), description="settings that were chosen instead of vLLM's defaults, and what each gains"
    )
    like: Name | None = Field(
        default=None,
        description="server that was simulated in place of this one, whose adapters are alike; None: it was itself",
    )

    @property
    def merged(self) -> bool:
        """Whether the server serves its only adapter with weights that are merged into those of the model."""
        return self.server.merged

    @property
    def is_standby(self) -> bool:
        """Whether the server is a standby, which has no adapters."""
        return not self.adapters


def unplaced(workload: Workload, servers: Sequence[PlacedServer]) -> dict[str, float]:
    """Return the adapters whose shares do not sum to one, with their sums."""
    shares = dict.fromkeys((adapter.name for adapter in workload.adapters), 0.0)
    for server in servers:
        for name, share in server.adapters.items():
            shares[name] += share
    return {name: share for name, share in shares.items() if abs(share - 1.0) > 1e-6}


class Plan(Spec):
    """A placement with all that is needed to check it: options, workload, profiles and seed."""

    file_kind = file_kinds.PLAN
    _facts = function_from("adaptwin.report.notebook.plan_view", "plan_facts")
    _repr_html_ = function_from("adaptwin.report.notebook.plan_view", "plan_html")
    moved: ClassVar[dict[str, str]] = {
        **{name: f"options.{name}" for name in ("objective", "strategy", "headroom", "constraints", "spare")},
        "bounds": "options.ttft_p99 and options.itl_p99",
        "guesses": "predictions",
    }

    options: PlanOptions = Field(description="options that the plan was made with")
    seed: int = Field(ge=0, description="seed of the search; the verification uses other seeds")
    margin: float = Field(
        default=0.0,
        ge=0,
        allow_inf_nan=False,
        description="safety margin that the options resulted in, as a share of traffic",
    )
    goal: Goal = Field(default="gpus", description="quantity that the objective optimises")
    promises: bool = Field(default=True, description="whether the objective promises that no adapter is starved")
    lower_bound: int = Field(
        ge=0, description="lower bound on the number of GPUs with these profiles, spare GPUs included"
    )
    estimated_optimum: float | None = Field(
        default=None,
        ge=0,
        description="estimate of the fewest GPUs that suffice, spare GPUs included, if servers could be divided; no "
        "proof; None where none is made",
    )
    cost_bound: float | None = Field(
        default=None, ge=0, description="lower bound on the price per hour; None where a price is unknown"
    )
    alternatives: tuple[Alternative, ...] = Field(
        default=(), description="GPUs that would be needed without some of the planner's decisions"
    )
    verified: bool = Field(default=False, description="whether the plan held in simulations with fresh arrivals")
    verified_seeds: tuple[int, ...] = Field(
        default=(), description="seeds of these simulations, as `verify` takes them"
    )
    verified_servers: int | None = Field(
        default=None, ge=0, description="servers that were simulated, where like ones stood for others; None: all"
    )
    confidence: Confidence | None = Field(
        default=None, description="how often the plan held in simulations of fresh windows; None if not asked for"
    )
    stress: Stress | None = Field(
        default=None,
        description="runs under traffic that the plan was not made for: a sample in every verified plan, or those of "
        "`--stress`; None if there were none",
    )
    planning_seconds: float = Field(default=0.0, ge=0, description="seconds that planning took, verification included")
    search_seconds: float = Field(
        default=0.0, ge=0, description="part of planning_seconds spent on the search, before verification"
    )
    time_limit_hit: bool = Field(default=False, description="whether the time limit ended the search")
    twin_runs: int = Field(default=0, ge=0, description="simulations of a server during the search")
    predictions: int = Field(default=0, ge=0, description="predictions of the surrogate during the search")
    servers: tuple[PlacedServer, ...] = Field(description="servers, standbys included, which come last")
    settings: Server = Field(
        default=Server(), description="settings that were given for all servers; the planner chose the others"
    )
    profiles: tuple[Profile, ...] = Field(description="profiles of the servers, in full")
    workload: Workload = Field(description="workload that the plan serves")
    assumptions: tuple[Line, ...] = Field(default=(), description="what the figures of the servers assume, in words")
    failover: tuple[Failover, ...] = Field(
        default=(),
        description="where adapters go when servers fail; with standbys, a further failure starts the next one",
    )
    migration: Migration | None = Field(
        default=None, description="steps from the plan that ran before; only after a replan"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, fields: Any) -> Any:
        """Take settings that a file of an earlier version does not have from its first server, which shared them."""
        if isinstance(fields, dict) and "settings" not in fields and isinstance(fields.get("servers"), list | tuple):
            first = next((server.get("server") for server in fields["servers"] if isinstance(server, dict)), None)
            if isinstance(first, dict):
                given = {name: value for name, value in first.items() if name not in PLANNED}
                return {**fields, "settings": given}
        return fields

    @model_validator(mode="before")
    @classmethod
    def _has_slots(cls, fields: Any) -> Any:
        """Require the slots of every server of a file: their default would be wrong without a word."""
        servers = fields.get("servers") if isinstance(fields, dict) else None
        for index, placed in enumerate(servers if isinstance(servers, list | tuple) else ()):
            server = placed.get("server") if isinstance(placed, dict) else None
            if isinstance(server, dict) and "max_loras" not in server:
                raise ValueError(f"servers[{index}].server.max_loras: missing")
        return fields

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        """Check that vLLM can serve the adapters, and that the parts of the plan agree."""
        if self.profiles:
            require_servable(self.workload, self.profiles)
        if problem := next(inconsistencies(self), None):
            raise ValueError(problem)
        for name, share in unplaced(self.workload, self.servers).items():
            on = ", ".join(server.name for server in self.servers if name in server.adapters)
            raise ValueError(f"servers: the shares of {name!r} sum to {share:g}, not to 1{on and f' (on {on})'}")
        for line in self.options.constraints.violations({server.name: server.adapters for server in self.servers}):
            raise ValueError(f"servers: {line}")
        return self

    @model_validator(mode="after")
    def _can_fail(self) -> Self:
        """Check that each failover routes exactly the adapters of the failed servers, and respects the constraints."""
        bins = {server.name: server.adapters for server in self.servers}
        for index, failover in enumerate(self.failover):
            for line in failover.problems(bins, self.options.constraints):
                raise ValueError(f"failover[{index}]: {line}")
        return self

    @property
    def base(self) -> str:
        """Name of the base model that the servers serve; empty if the plan has no profiles."""
        return self.profiles[0].model.name if self.profiles else ""

    @property
    def gpus(self) -> int:
        """Number of GPUs that the plan uses, those of standbys included."""
        return sum(map(self.gpus_of, self.servers))

    @property
    def estimated_gpus(self) -> int | None:
        """The estimate of the optimum in whole servers' GPUs, at least the lower bound; None where none is made."""
        if self.estimated_optimum is None or not self.servers:
            return None
        size = self.gpus_of(self.servers[0])
        return max(self.lower_bound, size * math.ceil((self.estimated_optimum - _MEANT) / size))

    @property
    def factor(self) -> float:
        """Factor on the traffic that every server must serve, from headroom and safety margin."""
        return (1.0 + self.options.headroom) * (1.0 + self.margin)

    @property
    def cost_per_hour(self) -> float | None:
        """Total price of the GPUs per hour; None where a price is unknown."""
        prices = [self.profile_of(server).server_price for server in self.servers]
        return None if None in prices else sum(price for price in prices if price)

    @property
    def standbys(self) -> tuple[PlacedServer, ...]:
        """The servers that start only when another server fails."""
        return tuple(server for server in self.servers if server.is_standby)

    @property
    def serving(self) -> tuple[PlacedServer, ...]:
        """The servers that serve adapters: all but the standbys."""
        return tuple(server for server in self.servers if not server.is_standby)

    def takers(self, failover: Failover) -> tuple[PlacedServer, ...]:
        """Return the servers that take over adapters in a failover, with the adapters and settings they have then."""
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
        """Return the profile of a server."""
        return next(profile for profile in self.profiles if profile.name == server.profile)

    def gpus_of(self, server: PlacedServer) -> int:
        """Return the number of GPUs of a server."""
        return self.profile_of(server).tensor_parallel_size

    def to_polars(self) -> pl.DataFrame:
        """Return a table with a row for each adapter on each of its servers, in the order of the servers.

        Of the adapter: `adapter`, `rank`, `share` (of its requests that the server gets), `rate` (requests/s) and
        `tokens` (prompt and output tokens/s) there, and its targets `slo_ttft` and `slo_itl`. Of the server, as
        simulated with all of its adapters: `server`, `profile`, `max_loras`, `max_lora_rank`, `verdict`, `sluggish`,
        `ttft_p50`, `ttft_p99`, `itl_mean`, `itl_p99`, and `headroom` as a share. Latencies are in seconds. Standbys
        have no row.
        """
        return plan_rows(self)

    @property
    def figures(self) -> "Mapping[str, Figure]":
        """The plotly figures of the report, by name, such as ``plan.figures["packing"]``; each is drawn on access."""
        figures: Mapping[str, Figure] = function_from("adaptwin.report.notebook.figures", "plan_figures")(self)
        return figures

    @property
    def has_groups(self) -> bool:
        """Whether some server has several GPUs, so that servers and GPUs are not the same."""
        return any(self.gpus_of(server) > 1 for server in self.servers)

    def workload_of(self, server: PlacedServer, seed: int | None = None) -> Workload:
        """Return the part of the workload that a server serves, with the workload's seed or another."""
        return self.workload.part(server.adapters, seed)
