"""candidates: the changes that may end the trouble of a server, each with the commands and calls that make it."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from adaptwin.live.advice import ChangeKind
from adaptwin.live.calls import Calls
from adaptwin.live.deployment import Deployment
from adaptwin.live.diagnosis import LiveBinding
from adaptwin.placement.capacity.capacity import SLOT_LADDER
from adaptwin.plan.plan import PlacedServer
from adaptwin.plan.server_names import new_name
from adaptwin.profile.profile import Profile
from adaptwin.twin.server import Server

MORE_SLOTS = 3  # next numbers of slots that are tried, besides one slot for each adapter
FEWER_SLOTS = 2
MOVED_ADAPTERS = 3  # the hottest ones, of which each is tried alone
TAKING_SERVERS = 4  # with the most headroom
SHOWN_NAMES = 6


class Candidate(NamedTuple):
    """A change, and the servers that it touches, as they are with it."""

    kind: ChangeKind
    what: str
    steps: tuple[str, ...]
    servers: tuple[PlacedServer, ...]
    adapters: tuple[str, ...] = ()  # that go to another server


def candidates(
    deployment: Deployment, here: PlacedServer, binding: LiveBinding, hottest: Sequence[str], calls: Calls
) -> Iterator[Candidate]:
    """Yield the changes to try for a server: moves of one adapter, other settings, and one more server.

    Args:
        deployment: All servers, as they run.
        here: The server in trouble.
        binding: What binds it.
        hottest: Adapters to move, the one with the most tokens first.
        calls: What the calls of servers need.
    """
    yield from _moves(deployment, here, hottest, calls)
    if not here.merged:
        yield from _restarts(deployment.profile_of(here), here, _loras(deployment, here), binding)
    yield from _one_more_server(deployment, here, calls)


def _moves(deployment: Deployment, here: PlacedServer, hottest: Sequence[str], calls: Calls) -> Iterator[Candidate]:
    """Yield moves of one adapter, which the server serves alone, to another server that can load it."""
    ranks = {adapter.name: adapter.rank for adapter in deployment.workload.adapters}
    others = [server for server in deployment.servers if server.name not in {here.name, *deployment.unreadable}]
    takers = sorted(others, key=_headroom, reverse=True)[:TAKING_SERVERS]
    movable = [name for name in hottest if here.adapters.get(name) == 1.0 and len(here.adapters) > 1]
    for name in movable[:MOVED_ADAPTERS]:
        for taker in takers:
            servers = _placed_without(here, [name]), _placed_with(taker, {name: 1.0})
            if taker.server.can_load(ranks[name]) and not _violates(deployment, servers):
                load, unload = (
                    (calls.load(name, taker.name), calls.unload(name, here.name)) if ranks[name] else ("", "")
                )
                route = f"route requests for {name} to {taker.name}"
                steps = tuple(step for step in (load, route, unload) if step)
                yield Candidate("move", f"{name} to {taker.name}", steps, servers, (name,))


def _headroom(server: PlacedServer) -> float:
    return server.forecast.headroom if server.forecast else 0.0


def _violates(deployment: Deployment, changed: Sequence[PlacedServer]) -> bool:
    """Whether servers break a constraint of the plan with these changes."""
    bins = {server.name: server.adapters for server in (*deployment.servers, *changed)}
    return bool(deployment.constraints.violations(bins))


def _restarts(profile: Profile, here: PlacedServer, loras: int, binding: LiveBinding) -> Iterator[Candidate]:
    """Yield other settings with which the server starts, each with one of them changed."""
    settings = here.server
    tokens, seats = settings.budgets(profile)
    for slots in _other_slots(settings.max_loras, loras, binding):
        held = settings.max_cpu_loras and max(settings.max_cpu_loras, slots)
        flags = f"--max-loras {slots}" + (f" --max-cpu-loras {held}" if held != settings.max_cpu_loras else "")
        what = f"max_loras {slots} instead of {settings.max_loras}"
        yield from _restart_with(profile, here, what, flags, max_loras=slots, max_cpu_loras=held)
    for seqs in (2 * seats, seats // 2):
        if seqs:
            budget = max(tokens, seqs)
            flags = f"--max-num-seqs {seqs}" + (f" --max-num-batched-tokens {budget}" if budget > tokens else "")
            what = f"max_num_seqs {seqs:,} instead of {seats:,}"
            yield from _restart_with(profile, here, what, flags, max_num_seqs=seqs, max_num_batched_tokens=budget)


def _other_slots(now: int, loras: int, binding: LiveBinding) -> list[int]:
    """Return the next larger numbers of slots, and one for each adapter; smaller ones if the KV cache is too small."""
    larger = [slots for slots in SLOT_LADDER if now < slots < loras][:MORE_SLOTS]
    larger += [loras] if loras > now else []
    smaller = [slots for slots in SLOT_LADDER if slots < now][-FEWER_SLOTS:] if binding == "memory" else []
    return larger + smaller


def _restart_with(
    profile: Profile, here: PlacedServer, what: str, flags: str, **update: int | None
) -> Iterator[Candidate]:
    """Yield the restart with other settings, if the server starts with them."""
    changed = _with_kv_cache(profile, here.server, here.server.model_copy(update=update))
    if changed.starts_on(profile):
        step = f"restart {here.name} with {flags}, and its other flags as they are"
        yield Candidate("restart", what, (step,), (here.model_copy(update={"server": changed}),))


def _with_kv_cache(profile: Profile, before: Server, after: Server) -> Server:
    """Return settings with a KV cache that is as much larger than the profile says as that of the settings before."""
    if not before.kv_cache_tokens:
        return after
    was, now = (each.model_copy(update={"kv_cache_tokens": None}) for each in (before, after))
    tokens = before.kv_cache_tokens * now.kv_tokens_on(profile) // max(1, was.kv_tokens_on(profile))
    return after.model_copy(update={"kv_cache_tokens": tokens}) if tokens > 0 else now


def _one_more_server(deployment: Deployment, here: PlacedServer, calls: Calls) -> Iterator[Candidate]:
    """Yield one more server, with the same settings, that takes every second adapter in the order of their traffic."""
    part = deployment.workload.part(here.adapters)
    by_rate = sorted(zip(part.rates, (adapter.name for adapter in part.adapters), strict=True), reverse=True)
    moved = [name for _, name in by_rate[1::2] if name not in deployment.constraints.pinned]
    if not moved or here.merged:
        return
    name = new_name(server.name for server in deployment.servers)
    added = here.model_copy(update={"name": name, "adapters": {each: here.adapters[each] for each in moved}})
    servers = _placed_without(here, moved), added
    if _violates(deployment, servers):
        return
    shown = ", ".join(moved[:SHOWN_NAMES])
    more = f" and {len(moved) - SHOWN_NAMES} more (--json lists all)" if len(moved) > SHOWN_NAMES else ""
    modules = " ".join(shlex.quote(f"{each}={calls.path(each)}") for each in moved[:SHOWN_NAMES])
    steps = (
        f"start {name} with the flags of {here.name} and --lora-modules {modules}{' ...' if more else ''}",
        f"route requests for {shown}{more} to {name}",
    )
    what = f"one more server, with {len(moved)} of the {len(by_rate)} adapters"
    yield Candidate("new server", what, steps, servers, tuple(moved))


def _placed_with(server: PlacedServer, shares: Mapping[str, float]) -> PlacedServer:
    return server.model_copy(update={"adapters": {**server.adapters, **shares}})


def _placed_without(server: PlacedServer, names: Sequence[str]) -> PlacedServer:
    kept = {name: share for name, share in server.adapters.items() if name not in names}
    return server.model_copy(update={"adapters": kept})


def _loras(deployment: Deployment, server: PlacedServer) -> int:
    return sum(adapter.rank > 0 for adapter in deployment.workload.adapters if adapter.name in server.adapters)
