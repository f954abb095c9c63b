"""Deployment: the servers that should run, with their settings and adapters, as a plan or a fleet says."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from adaptwin.errors import SpecError, did_you_mean
from adaptwin.live.watch import Seen
from adaptwin.live.watched_server import WatchedServer
from adaptwin.plan.constraints import Constraints
from adaptwin.plan.fleet import Fleet
from adaptwin.plan.latency_limits import LatencyLimits
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.profile.profile import Profile
from adaptwin.twin.server import server_rank
from adaptwin.workload.workload import Workload

KV_TOLERANCE = 0.03  # by which the size of the KV cache may differ from the profile's
SHARE_TOLERANCE = 0.005  # of the GPU's memory
SHOWN_STRANGERS = 3


class Deployment(NamedTuple):
    """Servers that should run, and the traffic of all of them."""

    servers: tuple[PlacedServer, ...]  # that serve adapters
    profiles: Mapping[str, Profile]  # by name
    workload: Workload
    latency_limits: LatencyLimits
    constraints: Constraints
    seed: int
    unreadable: frozenset[str] = frozenset()  # servers that cannot take adapters, as nothing is known of them

    def profile_of(self, server: PlacedServer) -> Profile:
        """Return the profile of a server."""
        return self.profiles[server.profile]

    def server(self, name: str | None) -> PlacedServer | None:
        """Return the server with a name; None if there is none."""
        return next((server for server in self.servers if server.name == name), None)

    def with_server(self, changed: PlacedServer) -> "Deployment":
        """Return the deployment with one server changed."""
        servers = tuple(changed if server.name == changed.name else server for server in self.servers)
        return self._replace(servers=servers)


def deployment_of_plan(plan: Plan) -> Deployment:
    """Return the servers of a plan that serve adapters."""
    return Deployment(
        servers=plan.serving,
        profiles={profile.name: profile for profile in plan.profiles},
        workload=plan.workload,
        latency_limits=plan.options.latency_limits,
        constraints=plan.options.constraints,
        seed=plan.seed,
    )


def deployment_of_fleet(fleet: Fleet, profile: Profile, names: Sequence[str]) -> Deployment:
    """Return servers with these names that share the traffic of a fleet evenly."""
    rank = server_rank(fleet.max_rank, profile)
    server = fleet.server
    if "max_lora_rank" not in server.model_fields_set:
        server = server.model_copy(update={"max_lora_rank": rank})
    shares = {adapter.name: 1.0 / len(names) for adapter in fleet.adapters}
    return Deployment(
        servers=tuple(PlacedServer(name=name, profile=profile.name, server=server, adapters=shares) for name in names),
        profiles={profile.name: profile},
        workload=fleet.workload,
        latency_limits=fleet.planning.latency_limits,
        constraints=fleet.planning.constraints,
        seed=fleet.seed,
    )


def require_in_plan(given: Collection[str], plan: Plan) -> None:
    """Raise `SpecError` if a name that was given with an address is none of the plan's servers with adapters."""
    names = [server.name for server in plan.serving]
    if unknown := sorted({*given} - {*names}):
        meant = did_you_mean(unknown[0], names)
        raise SpecError(f"the plan has no server {unknown[0]!r}: it has {', '.join(names)}{meant}", "url")


def names_in_plan(seen: Sequence[Seen], given: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return which server of a plan each server is, by the name under which it was seen.

    It is the one that was given with the address; for a server of Prometheus, the one that one of its labels names. The
    rest are taken in the order of the plan if they are as many as its servers without an address.

    Args:
        seen: Servers that were seen, and those that cannot be read.
        given: Names that were given with addresses, by address.
        names: Servers of the plan.
    """
    found = {each.name: name for each in seen if (name := _name_of(each, given, names))}
    rest = [each.name for each in seen if each.name not in found]
    left = [name for name in names if name not in found.values()]
    return {**found, **(dict(zip(rest, left, strict=True)) if len(rest) == len(left) else {})}


def _name_of(seen: Seen, given: Mapping[str, str], names: Sequence[str]) -> str | None:
    if not seen.labels:
        return given.get(seen.url)
    return next((name for name in names if name in seen.labels), None)


def as_seen(
    server: PlacedServer, profile: Profile, seen: WatchedServer, max_num_seqs: int | None = None
) -> tuple[PlacedServer, tuple[str, ...]]:
    """Return a server with the settings that it runs with, as far as they are known, and what differs, in words.

    Args:
        server: The server as it should run.
        profile: Its profile.
        seen: What its metrics said.
        max_num_seqs: What it was started with, if that is known; /metrics does not say it.
    """
    settings, last = server.server, seen.last
    differences: list[str] = []
    if max_num_seqs:
        tokens = max(max_num_seqs, settings.budgets(profile)[0])
        settings = settings.model_copy(update={"max_num_seqs": max_num_seqs, "max_num_batched_tokens": tokens})
    if last.max_loras and last.max_loras != settings.max_loras:
        if "max_loras" in settings.model_fields_set:
            differences.append(f"max_loras is {last.max_loras}, and {settings.max_loras} was expected")
        held = max(last.max_loras, settings.max_cpu_loras or 0)
        settings = settings.model_copy(update={"max_loras": last.max_loras, "max_cpu_loras": held, "merged": False})
    share = settings.with_defaults(profile).gpu_memory_utilization or 0.0
    if last.gpu_memory_utilization and abs(last.gpu_memory_utilization - share) > SHARE_TOLERANCE:
        differences.append(f"gpu_memory_utilization is {last.gpu_memory_utilization:g}, and {share:g} was expected")
        settings = settings.model_copy(update={"gpu_memory_utilization": last.gpu_memory_utilization})
    if last.kv_cache_tokens and not _is_near(last.kv_cache_tokens, computed := settings.kv_tokens_on(profile)):
        differences.append(f"the KV cache has {last.kv_cache_tokens:,} tokens, and {computed:,} were expected")
        settings = settings.model_copy(update={"kv_cache_tokens": last.kv_cache_tokens})
    differences += _strangers_sentence(seen, server.adapters)
    return server.model_copy(update={"server": settings}), tuple(differences)


def _is_near(tokens: int, computed: int) -> bool:
    return abs(tokens - computed) <= KV_TOLERANCE * max(1, computed)


def _strangers_sentence(seen: WatchedServer, adapters: Collection[str]) -> list[str]:
    """Say which adapters have requests on a server that should not serve them; nothing if there are none."""
    if not (strangers := [name for name in seen.adapters_with_requests if name not in adapters]):
        return []
    more = f" and {len(strangers) - SHOWN_STRANGERS} more" if len(strangers) > SHOWN_STRANGERS else ""
    return [f"adapters have requests here that belong elsewhere: {', '.join(strangers[:SHOWN_STRANGERS])}{more}"]
