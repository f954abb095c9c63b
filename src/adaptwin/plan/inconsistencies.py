"""Inconsistencies of a plan whose file was changed by hand: where its parts contradict each other."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from adaptwin.errors import did_you_mean
from adaptwin.plan.planned_settings import PLANNED

if TYPE_CHECKING:
    from adaptwin.plan.plan import Plan


def inconsistencies(plan: "Plan") -> Iterator[str]:
    """Yield what contradicts in a plan, each in a line that begins with the field."""
    yield from _repeated("profiles", [profile.name for profile in plan.profiles])
    yield from _repeated("servers", [server.name for server in plan.servers])
    yield from _unknown_names(plan)
    yield from _wrongly_merged(plan)
    yield from _wrong_settings(plan)
    yield from _unlike(plan)
    yield from _wrong_counts(plan)


def _repeated(field: str, names: Sequence[str]) -> Iterator[str]:
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in first:
            yield f"{field}[{index}].name: {name!r} is also the name of {field}[{first[name]}]"
        first.setdefault(name, index)


def _unknown_names(plan: "Plan") -> Iterator[str]:
    """Yield the names of profiles and adapters that the plan does not have, and ranks that a server cannot load."""
    profiles = [profile.name for profile in plan.profiles]
    ranks = {adapter.name: adapter.rank for adapter in plan.workload.adapters}
    for index, server in enumerate(plan.servers):
        if server.profile not in profiles:
            hint = did_you_mean(server.profile, profiles)
            yield f"servers[{index}].profile: {server.profile!r} is not among the plan's profiles{hint}"
        for name in server.adapters:
            if name not in ranks:
                hint = did_you_mean(name, ranks)
                yield f"servers[{index}].adapters: {name!r} is not in the plan's workload{hint}"
            elif not server.merged and not server.server.can_load(ranks[name]):
                slots = f"max_loras {server.server.max_loras}, max_lora_rank {server.server.max_lora_rank}"
                yield f"servers[{index}].server: {slots} cannot load {name!r} of rank {ranks[name]}"


def _wrongly_merged(plan: "Plan") -> Iterator[str]:
    """Yield servers with merged weights that serve anything but one LoRA adapter."""
    ranks = {adapter.name: adapter.rank for adapter in plan.workload.adapters}
    for index, server in enumerate(plan.servers):
        if server.merged and not server.is_standby and [ranks[name] > 0 for name in server.adapters] != [True]:
            yield f"servers[{index}].server.merged: true, but the server has {', '.join(map(repr, server.adapters))}"


def _wrong_settings(plan: "Plan") -> Iterator[str]:
    """Yield settings of servers that are not those that were given for all, and decisions that a server contradicts."""
    given = plan.settings
    for index, server in enumerate(plan.servers):
        for name in type(given).model_fields:
            asked, used = getattr(given, name), getattr(server.server, name)
            if name not in PLANNED and asked != getattr(type(given)(), name) and used != asked:
                yield f"servers[{index}].server.{name}: {used}, but settings.{name} gives {asked} for all servers"
        for place, decision in enumerate(server.decisions):
            used = getattr(server.server, decision.setting)
            if used is not None and int(used) != decision.chosen:
                where = f"servers[{index}].decisions[{place}].chosen"
                yield f"{where}: {decision.chosen}, but the server has {decision.setting} {int(used)}"


def _unlike(plan: "Plan") -> Iterator[str]:
    """Yield servers that are said to be like one that the plan does not have, or that was not simulated itself."""
    like = {server.name: server.like for server in plan.servers}
    for index, server in enumerate(plan.servers):
        if server.like is not None and server.like not in like:
            hint = did_you_mean(server.like, like)
            yield f"servers[{index}].like: {server.like!r} is not a server of the plan{hint}"
        elif server.like is not None and like[server.like] is not None:
            yield f"servers[{index}].like: {server.like!r} was not simulated itself"


def _wrong_counts(plan: "Plan") -> Iterator[str]:
    """Yield numbers of GPUs that contradict the servers; those of a changed fleet may differ from what was asked."""
    if plan.migration is not None:
        return
    options, servers, gpus = plan.options, len(plan.servers), plan.gpus
    if options.gpus is not None and gpus > options.gpus:
        yield f"options.gpus: {options.gpus}, but the plan has {gpus} GPUs"
    if plan.verified and options.spare and servers <= options.spare:
        yield f"options.spare: {options.spare}, but the plan has {servers} servers"
    if plan.verified and plan.promises and plan.lower_bound > gpus:
        yield f"lower_bound: {plan.lower_bound}, but the plan is verified with {gpus} GPUs"
