"""Changes that might save a GPU: other settings, no headroom or margin, less traffic, lower ranks."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from adaptwin.placement.capacity.shorter_requests import WHOLE_BLOCKS, with_startable_length
from adaptwin.placement.capacity.template_choice import template_and_surrogate
from adaptwin.plan.forecast import Forecast
from adaptwin.plan.latency_limits import NO_LATENCY_LIMITS, LatencyLimits
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.plan.planned_settings import common_settings
from adaptwin.profile.profile import Profile
from adaptwin.surrogate.surrogate import Surrogate
from adaptwin.twin.server import Server
from adaptwin.vllm_versions import oldest
from adaptwin.workload.demand.longest_request import longest_request
from adaptwin.workload.demand.mean_lengths import tokens_per_adapter
from adaptwin.workload.lora_ranks import SERVED_RANKS, in_words, padded_rank
from adaptwin.workload.workload import Workload

LESS_TRAFFIC = (0.05, 0.1, 0.2)
HOTTEST_ADAPTERS = (1, 3, 10)
LARGER_MAX_NUM_SEQS = (512, 1024)
LARGER_MEMORY_UTILIZATION = 0.95


class Variant(NamedTuple):
    """The workload that the servers of one profile serve, their settings, and the factor on the traffic."""

    profile: Profile
    workload: Workload
    template: Server
    factor: float  # on the traffic, from headroom and margin
    servers: int  # of this profile in the plan
    latency_limits: LatencyLimits = NO_LATENCY_LIMITS


class Change(NamedTuple):
    """A change: its description, and the function that applies it."""

    what: str
    apply: Callable[[Variant], Variant]


def variants_of(plan: Plan, surrogate: Surrogate | Literal["shipped"] | None) -> list[Variant]:
    """Return variants that describe the plan as it is: one for each profile in use, with settings chosen as in a plan.

    Each adapter with merged weights is a variant of its own. To a server that has nothing else it is like traffic to
    the base model.
    """
    variants = []
    for profile in plan.profiles:
        servers = [server for server in plan.servers if server.profile == profile.name and not server.is_standby]
        merged = {name for server in servers if server.merged for name in server.adapters}
        lora = [server for server in servers if not server.merged]
        variants += [_variant(plan, profile, lora, surrogate)] if lora else []
        for name in sorted(merged):
            own = _variant(plan, profile, [each for each in servers if each.merged and name in each.adapters], None)
            (adapter,) = own.workload.adapters
            base = own.workload.model_copy(update={"adapters": (adapter.model_copy(update={"rank": 0}),)})
            variants.append(own._replace(workload=base))
    return variants


def _variant(
    plan: Plan, profile: Profile, servers: Sequence[PlacedServer], surrogate: Surrogate | Literal["shipped"] | None
) -> Variant:
    """Return the variant of servers of one profile."""
    shares: dict[str, float] = {}
    for server in servers:
        for name, share in server.adapters.items():
            shares[name] = shares.get(name, 0.0) + share
    workload, limits = plan.workload.part(shares, plan.seed), plan.options.latency_limits
    if servers[0].merged:
        template = common_settings(servers[0].server)
    else:
        startable = with_startable_length(plan.settings, plan.profiles, plan.workload)
        template, _ = template_and_surrogate(
            profile, workload, startable, plan.factor, limits, surrogate, workload.seed
        )
    return Variant(profile, workload, template, plan.factor, len(servers), limits)


def ladders_of(plan: Plan, forecasts: Mapping[str, Forecast]) -> Iterator[list[Change]]:
    """Yield changes worth trying, in groups of one kind, each from the smallest change to the largest."""
    yield from _of_settings(plan, forecasts)
    yield from _of_promises(plan)
    yield [_less_traffic(share) for share in LESS_TRAFFIC]
    tokens = tokens_per_adapter(plan.workload)
    names = sorted(tokens, key=lambda name: tokens[name], reverse=True)
    yield [_without(names[:many]) for many in HOTTEST_ADAPTERS if many < len(names)]
    yield from _of_ranks(plan)


def _of_settings(plan: Plan, forecasts: Mapping[str, Forecast]) -> Iterator[list[Change]]:
    given, is_full = plan.settings, any(found.binding == "max_num_seqs" for found in forecasts.values())
    if is_full and given.max_num_seqs is not None:  # otherwise, the planner has chosen it
        most = given.max_num_batched_tokens or LARGER_MAX_NUM_SEQS[-1]  # which vLLM requires to be as large, at least
        yield [
            _setting(f"max_num_seqs {more:,} instead of {given.max_num_seqs:,}", max_num_seqs=more)
            for more in LARGER_MAX_NUM_SEQS
            if given.max_num_seqs < more <= most
        ]
    memory = min(s.server.with_defaults(plan.profile_of(s)).gpu_memory_utilization or 1.0 for s in plan.servers)
    if memory < LARGER_MEMORY_UTILIZATION:
        yield [
            _setting(
                f"gpu_memory_utilization {LARGER_MEMORY_UTILIZATION} instead of {memory:g}",
                gpu_memory_utilization=LARGER_MEMORY_UTILIZATION,
            )
        ]
    longest = WHOLE_BLOCKS * math.ceil(longest_request(plan.workload) / WHOLE_BLOCKS)
    allowed = max(s.server.max_model_len or plan.profile_of(s).model.max_model_len for s in plan.servers)
    if longest < allowed:
        what = f"max_model_len {longest:,} instead of {allowed:,}: no request is longer"
        yield [_setting(what, max_model_len=longest)]


def _of_promises(plan: Plan) -> Iterator[list[Change]]:
    if plan.options.headroom:
        what = f"without the requested headroom of {100 * plan.options.headroom:g} %"
        yield [Change(what, lambda variant: variant._replace(factor=1.0 + plan.margin))]
    if plan.margin:
        what = f"without the safety margin of {100 * plan.margin:.2g} %"
        yield [Change(what, lambda variant: variant._replace(factor=1.0 + plan.options.headroom))]


def _of_ranks(plan: Plan) -> Iterator[list[Change]]:
    vllm_version = oldest(profile.vllm_version for profile in plan.profiles)
    ranks = [adapter.rank for adapter in plan.workload.adapters if adapter.rank]
    slots = sorted({padded_rank(rank, vllm_version) for rank in ranks})
    if not slots or slots[-1] <= SERVED_RANKS[1]:
        return
    lower = slots[-2] if len(slots) > 1 else SERVED_RANKS[SERVED_RANKS.index(slots[-1]) - 1]
    top = [rank for rank in ranks if rank > lower]
    them = f"the {len(top)} adapters" if len(top) > 1 else "the one adapter"
    of = in_words(top)
    yield [Change(f"{them} of {of} retrained with rank {lower}", lambda variant: _retrained(variant, lower))]


def _setting(what: str, **update: float) -> Change:
    return Change(what, lambda variant: variant._replace(template=variant.template.model_copy(update=update)))


def _less_traffic(share: float) -> Change:
    return Change(
        f"{100 * share:g} % less traffic",
        lambda variant: variant._replace(workload=variant.workload.scaled(1.0 - share)),
    )


def _without(names: Sequence[str]) -> Change:
    what = (
        f"without the hottest adapter, {names[0]}" if len(names) == 1 else f"without the {len(names)} hottest adapters"
    )
    return Change(what, lambda variant: scaled(variant, dict.fromkeys(names, 0.0)))


def scaled(variant: Variant, factors: Mapping[str, float]) -> Variant:
    """Return the variant with the traffic of some adapters scaled; adapters scaled to zero are removed."""
    kept = ((adapter, factors.get(adapter.name, 1.0)) for adapter in variant.workload.adapters)
    adapters = tuple(adapter.scaled(factor) for adapter, factor in kept if factor > 0)
    return variant._replace(workload=variant.workload.model_copy(update={"adapters": adapters}))


def _retrained(variant: Variant, rank: int) -> Variant:
    adapters = tuple(
        adapter.model_copy(update={"rank": rank}) if adapter.rank > rank else adapter
        for adapter in variant.workload.adapters
    )
    return variant._replace(workload=variant.workload.model_copy(update={"adapters": adapters}))
