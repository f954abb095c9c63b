"""ServingPlan: the servers and routes of plans in vLLM's words, from which every stack's files are written."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from adaptwin.errors import SpecError
from adaptwin.export.vllm_flags import Flag, lora_flags, setting_flags, settings_without_flag
from adaptwin.export.weights import whole_weights
from adaptwin.plan.assumptions import assumptions_of
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.plan.routes import Route, adapters_of, routes_of
from adaptwin.profile.profile import Profile
from adaptwin.profile.stored_widths import stored_widths
from adaptwin.visible import quoted
from adaptwin.workload.artifacts import Artifact, artifact_of
from adaptwin.workload.workload import Adapter

SAID_OF_FAILOVER = "When a server fails, load its adapters on other servers as `failover` in the plan file says."


class LoraModule(NamedTuple):
    """A LoRA adapter on a server."""

    name: str
    artifact: Artifact | None  # None: the weights are in the folder of adapters, under the adapter's name
    share: float  # of the adapter's requests


class ServedServer(NamedTuple):
    """One vLLM server of a plan."""

    name: str
    profile: Profile
    flags: tuple[Flag, ...]  # besides those of LoRA
    lora_flags: tuple[Flag, ...]  # empty: LoRA is off
    loras: tuple[LoraModule, ...]
    base_names: tuple[str, ...]  # names in the plan of traffic to the base model that the server serves
    merged: str | None  # the only adapter, if its weights are merged into those of the model
    is_standby: bool
    said: tuple[str, ...]  # what is worth knowing of the server, a line each

    @property
    def base_model(self) -> str:
        """Name of the base model."""
        return self.profile.model.name

    @property
    def gpus(self) -> int:
        """Number of GPUs of the server."""
        return self.profile.tensor_parallel_size

    @property
    def served_model(self) -> str:
        """Name under which the server serves its model itself: the merged adapter's, or the base model's."""
        return self.merged or self.base_model

    @property
    def settings(self) -> dict[str, str]:
        """Values of flags by name, with an empty text for a flag without one."""
        return {flag.name: " ".join(flag.values) for flag in (*self.flags, *self.lora_flags)}


class Destination(NamedTuple):
    """A server that takes a part of an adapter's requests."""

    server: ServedServer
    model: str  # name that the server knows the adapter by
    weight: int  # of the adapter's requests, relative to its other destinations
    share: float  # of the adapter's requests


class ServingPlan(NamedTuple):
    """The servers of one or several plans, and the routes of every adapter."""

    servers: tuple[ServedServer, ...]  # those that run
    standbys: tuple[ServedServer, ...]
    routes: dict[str, tuple[Destination, ...]]  # by adapter, or name in the plan of traffic to a base model
    base_routes: dict[str, tuple[Destination, ...]]  # of base models with traffic of their own, by model
    said: tuple[str, ...]  # what is worth knowing of the plans, a line each
    has_failover: bool

    @property
    def names(self) -> set[str]:
        """Names of the servers that run."""
        return {server.name for server in self.servers}

    def with_routes(self, routes: Mapping[str, Route]) -> "ServingPlan":
        """Return the same servers with other routes of adapters; those to servers that do not run are left out."""
        servers = {server.name: server for server in self.servers}
        known = {
            name: {server: share for server, share in route.items() if server in servers}
            for name, route in routes.items()
        }
        return self._replace(
            routes={name: tuple(_destinations(name, route, servers)) for name, route in known.items() if route}
        )

    @property
    def split(self) -> list[str]:
        """The adapters whose requests go to several servers."""
        return [name for name, destinations in self.routes.items() if len(destinations) > 1]

    @property
    def all_routes(self) -> dict[str, tuple[Destination, ...]]:
        """The routes of adapters, and those of base models after them."""
        return self.routes | self.base_routes

    @property
    def all_servers(self) -> tuple[ServedServer, ...]:
        """The servers that run, and the standbys after them."""
        return self.servers + self.standbys


def serving_plan_of(plans: Sequence[Plan]) -> ServingPlan:
    """Return the servers and routes of plans, which have different base models.

    Servers and adapters have names of their own in all plans together, as `Plans` checks.
    """
    servers = {server.name: server for plan in plans for server in _servers(plan)}
    routes = {
        name: tuple(_destinations(name, shares, servers)) for plan in plans for name, shares in routes_of(plan).items()
    }
    base_routes = {
        plan.base: tuple(_destinations(plan.base, shares, servers))
        for plan in plans
        if (shares := _shares_of_base(plan)) and plan.base not in routes
    }
    return ServingPlan(
        servers=tuple(server for server in servers.values() if not server.is_standby),
        standbys=tuple(server for server in servers.values() if server.is_standby),
        routes=routes,
        base_routes=base_routes,
        said=tuple(_said_of_plans(plans)),
        has_failover=any(plan.failover and not plan.standbys for plan in plans),
    )


def _destinations(name: str, shares: dict[str, float], servers: dict[str, ServedServer]) -> Iterator[Destination]:
    for (where, share), weight in zip(shares.items(), whole_weights(shares.values()), strict=True):
        server = servers[where]
        is_model = server.merged is not None or name in (*server.base_names, server.base_model)
        yield Destination(server, server.served_model if is_model else name, weight, share)


def _shares_of_base(plan: Plan) -> dict[str, float]:
    """Return the share of all traffic to the base model that each server gets; empty if there is no such traffic."""
    rates = {adapter.name: adapter.rate for adapter in plan.workload.adapters if adapter.rank == 0}
    total = sum(rates.values())
    each = {
        server.name: sum(share * rates[name] for name, share in server.adapters.items() if name in rates)
        for server in plan.servers
    }
    return {name: rate / total for name, rate in each.items() if rate > 0}


def _servers(plan: Plan) -> Iterator[ServedServer]:
    adapters, takers = adapters_of(plan), _takers_of_loras(plan)
    if plan.base in adapters and adapters[plan.base].rank > 0:
        raise SpecError(f"the adapter {quoted(plan.base)} has the name of the base model: rename it", "name")
    for placed in plan.servers:
        own = [adapters[name] for name in placed.adapters]
        yield _served_server(placed, plan.profile_of(placed), own, placed.name in takers)


def _served_server(
    placed: PlacedServer, profile: Profile, adapters: Sequence[Adapter], takes_loras_in: bool
) -> ServedServer:
    loras = [] if placed.merged else [adapter for adapter in adapters if adapter.rank > 0]
    has_lora = bool(loras) or takes_loras_in or (placed.is_standby and placed.server.max_loras > 0)
    return ServedServer(
        name=placed.name,
        profile=profile,
        flags=tuple(setting_flags(profile, placed.server)),
        lora_flags=tuple(lora_flags(profile, placed.server)) if has_lora and not placed.merged else (),
        loras=tuple(
            LoraModule(lora.name, artifact_of(lora.artifact) if lora.artifact else None, placed.adapters[lora.name])
            for lora in loras
        ),
        base_names=tuple(adapter.name for adapter in adapters if adapter.rank == 0),
        merged=adapters[0].name if placed.merged else None,
        is_standby=placed.is_standby,
        said=tuple(_said_of_server(placed, profile, adapters)),
    )


def _takers_of_loras(plan: Plan) -> set[str]:
    """Return the servers that take over LoRA adapters when other servers fail."""
    ranks = {adapter.name: adapter.rank for adapter in plan.workload.adapters}
    routes = (route for failover in plan.failover for route in failover.routes.items())
    return {server for name, route in routes if ranks[name] > 0 for server in route}


def _said_of_server(placed: PlacedServer, profile: Profile, adapters: Sequence[Adapter]) -> Iterator[str]:
    if placed.is_standby:
        return
    many = len(adapters)
    yield f"{placed.name}: {many} adapter{'' if many == 1 else 's'}, profile {placed.profile}"
    if placed.merged:
        yield f"has the weights of {', '.join(placed.adapters)} merged into those of the model: no requests for"
        yield "the base model or other adapters may be routed here, and no adapter can be loaded"
    if parts := [f"{name} ({share:.0%})" for name, share in placed.adapters.items() if share < 1.0]:
        yield f"serves only a part of the traffic of: {', '.join(parts)}"
    if base := [adapter.name for adapter in adapters if adapter.rank == 0]:
        yield f"also serves traffic to the base model: {', '.join(base)}"
    if missing := list(settings_without_flag(profile, placed.server)):
        yield f"simulated with {', '.join(missing)}, for which vLLM {profile.vllm_version} has no flag"


def _said_of_plans(plans: Sequence[Plan]) -> Iterator[str]:
    many, total, first = sum(len(plan.servers) for plan in plans), sum(plan.gpus for plan in plans), plans[0]
    on = f" on {total} GPUs" if any(plan.has_groups for plan in plans) else ""
    models = f" of {len(plans)} base models" if len(plans) > 1 else ""
    servers = f"{many} vLLM server{'' if many == 1 else 's'}{on}{models}"
    yield f"{servers}, planned by adaptwin ({first.options.strategy}, seed {first.seed})."
    yield from (f"The plan assumes: {clause}." for clause in dict.fromkeys(chain(*map(assumptions_of, plans))))
    if any(server.merged for plan in plans for server in plan.servers):
        yield "Merged weights: make each such model once, with PEFT: load the base model and the adapter, then call"
        yield "merge_and_unload(), and save the model and its tokenizer with save_pretrained()."
    yield from dict.fromkeys(chain(*map(_said_of_stored_weights, plans)))
    if any(plan.failover and not plan.standbys for plan in plans):
        yield SAID_OF_FAILOVER


def _said_of_stored_weights(plan: Plan) -> Iterator[str]:
    """Say of which models the files must hold quantised weights, as vLLM does not quantise them itself."""
    used = {server.profile for server in plan.servers}
    for profile in plan.profiles:
        model = profile.model
        if profile.name not in used or profile.quantization is not None:
            continue
        if min(model.bytes_per_weight, model.bytes_per_expert_weight) < model.bytes_per_value:
            yield f"The files of {model.name} must be quantised: the plan counts on {stored_widths(model)}."
