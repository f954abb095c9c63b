"""make_plan: find a verified plan for a workload on one or several profiles."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from adaptwin.errors import SpecError
from adaptwin.placement.packing.problem import Assignment, Place, Problem
from adaptwin.placement.planner import find_plan
from adaptwin.placement.requirements import checked_profiles
from adaptwin.placement.strategies.registry import Strategy
from adaptwin.plan.constraints import NO_CONSTRAINTS, Constraints
from adaptwin.plan.options import LatencyKind, PlanOptions, VerifiedServers
from adaptwin.plan.plan import Plan
from adaptwin.profile.profile import Profile
from adaptwin.progress import Progress, silent
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.twin.server import Server
from adaptwin.visible import quoted
from adaptwin.workload.workload import Workload


def make_plan(
    profile_or_profiles: Profile | str | Path | Sequence[Profile | str | Path],
    workload: Workload,
    *,
    objective: str = "min-gpus",
    strategy: str | Place = "pack",
    gpus: int | None = None,
    headroom: float = 0.0,
    margin: float | Literal["profile"] = 0.0,
    ttft_p99: float | None = None,
    itl_p99: float | None = None,
    latency: LatencyKind = "itl",
    constraints: Constraints = NO_CONSTRAINTS,
    confidence: float | None = None,
    rate_uncertainty: float = 0.0,
    prices: Mapping[str, float] | None = None,
    currency: str = "",
    spare: int = 0,
    host_memory_gib: float | None = None,
    allow_merged: bool = False,
    accept_rough: bool = False,
    verify: VerifiedServers = "samples",
    seed: int = 0,
    time_limit: float | None = None,
    server: Server | None = None,
    surrogate: Surrogate | Literal["shipped"] | None = "shipped",
    progress: Progress = silent,
) -> Plan:
    """Place a workload on GPUs, choose the settings of each server, and verify the result.

    Args:
        profile_or_profiles: Profile of the GPUs, or several to choose from, such as groups of several sizes. A shipped
            one may be given by its name, and any by the path of its file. ``min-cost`` may mix several; with other
            objectives, all servers are of one profile.
        workload: Adapters and their traffic. Its duration is the window over which the twin judges a server.
        objective: What to optimise. Most objectives find the number of GPUs, such as ``min-gpus`` (the default),
            ``slo`` (the fewest GPUs within limits on latency) and ``min-cost`` (the lowest price per hour). Others need
            the number of GPUs, such as ``min-latency``, and ``max-throughput``, under which adapters may be starved.
        strategy: How to place adapters on servers of one profile: ``pack`` (the default), one of the strategies to
            compare it with, or a function from a `Problem` to a list of `Assignment`. The plan stores its name.
        gpus: Number of GPUs, for objectives that need it. Where each server has several, there are as many servers as
            these GPUs make whole.
        headroom: Additional traffic that every GPU must be able to sustain, as a share: 0.2 is 20 %.
        margin: Safety margin on the twin's figures, as a share of the traffic. ``"profile"`` derives it from the
            profile's uncertainty of what a full server serves: one real server in twenty serves less than assumed.
        ttft_p99: Limit in seconds on the 99th percentile of the time to first token, on every server.
        itl_p99: Limit in seconds on the 99th percentile of the inter-token latency, on every server.
        latency: What ``min-latency`` minimises: the 99th percentile of ``itl`` or of ``ttft`` on the worst server.
        constraints: Adapters pinned to a server, kept apart, or kept together.
        confidence: Probability with which a fresh window of traffic must hold: 0.95 is 95 %. The plan is simulated a
            hundred times or more, and gets more GPUs as long as it holds less often; `Plan.confidence` says how often
            it held. It needs an objective that finds the number of GPUs.
        rate_uncertainty: How wrong each rate may be in these simulations: the standard deviation, as a share, of the
            factor on it.
        prices: Price of one GPU per hour, by profile; takes precedence over the profile's own price. A group of GPUs
            costs as much for each of them.
        currency: Currency of all prices, such as USD, as reports show it.
        spare: Number of GPUs that may fail at once with all adapters still served, for objectives that find the number
            of GPUs. A server stops when any of its GPUs fails, so as many servers may stop at once. Either the other
            servers take over the adapters, with headroom and margin as required, or spare servers stand by.
            `Plan.failover` says which adapters move where.
        host_memory_gib: Host memory in GiB that the adapters of a server may take, which vLLM pins. With None, it is
            not limited; `Forecast.host_memory_gib` says how much they take.
        allow_merged: Whether an adapter with much traffic may get servers of its own with its weights merged into those
            of the model, where this saves GPUs. Such a server serves no other adapter, and to serve its adapter as a
            LoRA adapter again, or with other weights, it must restart.
        accept_rough: Whether to plan with profiles whose grade is rough: models with experts, whose law no real server
            was compared with. They are refused otherwise.
        verify: Servers of large fleets that are simulated to verify the plan: ``"samples"`` of those that have like
            adapters, or ``"all"``.
        seed: Seed of the planner's draws. Verification uses other seeds.
        time_limit: Seconds of search. After that, the best placement so far is verified, and `Plan.time_limit_hit` is
            set.
        server: Settings that all servers must have, without slots and ranks, which the planner chooses for each. It
            also chooses ``max_num_seqs`` and ``max_num_batched_tokens``, unless they are given here.
        surrogate: Surrogate that answers where it is confident, so that the twin is run less often; by default the
            shipped one. With None, the twin is always run. The plan is verified by the twin in any case.
        progress: Function that is called with the current stage, how much of it is done, and out of how much.

    Raises:
        Infeasible: Some adapter cannot be served at all, or the given GPUs do not suffice; the message names the cause.
        SpecError: An unknown objective, strategy or adapter, a value out of range, a workload without adapters, or for
            ``min-cost`` a profile without a price.
    """
    if not isinstance(strategy, str) and not callable(strategy):
        raise SpecError(f"{strategy!r} is neither the name of a strategy nor a function", "strategy")
    profiles = checked_profiles(profile_or_profiles, workload)
    options = PlanOptions.of(
        {
            "objective": objective,
            "strategy": strategy if isinstance(strategy, str) else _strategy_name(strategy),
            "gpus": gpus,
            "headroom": headroom,
            "margin": margin,
            "ttft_p99": ttft_p99,
            "itl_p99": itl_p99,
            "latency": latency,
            "constraints": constraints,
            "confidence": confidence,
            "rate_uncertainty": rate_uncertainty,
            "prices": dict(prices or {}),
            "currency": currency,
            "spare": spare,
            "host_memory_gib": host_memory_gib,
            "allow_merged": allow_merged,
            "accept_rough": accept_rough,
            "verify": verify,
            "time_limit": time_limit,
        }
    )
    return find_plan(
        profiles,
        workload,
        options,
        strategy=None if isinstance(strategy, str) else Strategy(_returning_assignments(strategy)),
        seed=seed,
        server=server,
        surrogate=surrogate,
        progress=progress,
    )


def _returning_assignments(place: Place) -> Place:
    """Return a strategy of the user that raises `SpecError` if it returns something else than a list of assignments."""

    def checked_place(problem: Problem) -> list[Assignment]:
        placed: Any = place(problem)
        if not isinstance(placed, list) or not all(isinstance(each, Assignment) for each in placed):
            raise SpecError(f"returned {quoted(placed)} instead of a list of Assignment", _strategy_name(place))
        return placed

    return checked_place


def _strategy_name(place: Place) -> str:
    return str(getattr(place, "__name__", place))
