"""RunningServers: a fleet of running vLLM servers, observed by their metrics and those of a router.

Other plans are applied, or left to the people who run the fleet: then a fleet has come to a plan once its servers have
the plan's adapters and settings, as far as they say them.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from adaptwin.errors import AdaptwinError, ServerError, SpecError
from adaptwin.live.applying.applied import Applied
from adaptwin.live.applying.apply import ApplyOptions, apply, servers_to_reach
from adaptwin.live.applying.differing_settings import differing_settings
from adaptwin.live.applying.needed_steps import wanted_adapters
from adaptwin.live.applying.running_fleet import connected, states_of
from adaptwin.live.applying.server_access import ServerAccess, read_servers
from adaptwin.live.connection import in_event_loop, session_with
from adaptwin.live.metering.router_counters import Counted
from adaptwin.live.vllm_server import VllmServer
from adaptwin.live.watched_server import Reading, WatchedServer
from adaptwin.live.watching.observed import Observed, ObservedServer
from adaptwin.live.watching.planned_shares import requests_as_planned, with_unanswered
from adaptwin.live.watching.router_reader import CountedModels, RouterReader
from adaptwin.live.watching.watched_fleet import FleetChange
from adaptwin.plan.plan import Plan
from adaptwin.plan.plans import Plans
from adaptwin.progress import Progress, silent
from adaptwin.visible import visible

MakeOptions = Callable[[Sequence[Plan], Mapping[str, ServerAccess]], ApplyOptions]

SAMPLE_SECONDS = 10.0  # between readings of the metrics of a server, about
NAMES_IN_A_NOTE = 3


class Access(NamedTuple):
    """How servers and router are reached.

    Attributes:
        servers: File with the addresses of the servers, which is read each time.
        router: Address of a router, or of Prometheus; None: the servers alone are asked.
        api_key: Key of servers that have none of their own in the file.
        router_key: Key of the router.
    """

    servers: Path
    router: str | None = None
    api_key: str | None = None
    router_key: str | None = None


class RunningServers:
    """Running servers, observed for one stretch of time after the other.

    Args:
        access: Where the servers are.
        every: Seconds of a stretch.
        applying: Returns how other plans are applied to servers; None: somebody else does that.
        on_found: Called with plans that were found, before anything is changed; again if it failed.
        progress: Called with the seconds of the stretch.
    """

    def __init__(
        self,
        access: Access,
        every: float,
        *,
        applying: MakeOptions | None = None,
        on_found: Callable[[Plans], None] | None = None,
        progress: Progress = silent,
    ) -> None:
        self._access, self._every, self._applying = access, every, applying
        self._on_found, self._progress = on_found, progress
        self._last: dict[str, Reading] = {}  # by address of the server, at the end of the stretch before
        self._router = RouterReader(access.router) if access.router else None
        self._found: Plans | None = None  # on the way to them
        self._told: Plans | None = None  # for which `on_found` was called
        self._reached: dict[str, ServerAccess] = {}  # servers whose addresses were read before
        self._has_read = False
        self._has_lost = False  # whether a server lacks adapters, as after a restart

    def observe(self, running: Plans) -> Observed:
        """Return what was seen over the next stretch of time; if plans are applied, lost adapters are loaded again.

        A file of the servers that is damaged, or lacks a server or its key, ends the watch the first time only; later,
        the addresses that were read before stay in use.

        Raises:
            SpecError: The file of the servers is damaged, or lacks a server, or a key is missing.
            ServerError: No server could be read, the first time.
        """
        names = [server.name for plan in running.plans for server in plan.serving]
        servers, notes = self._addresses(names)
        try:
            seen: Observed = in_event_loop(lambda: self._observed(running, servers, notes))
        except SpecError as missing:  # of a key
            if not self._has_read:
                raise
            time.sleep(self._every)
            unread = dict.fromkeys(names, str(missing))
            return Observed(time.time(), self._every, {}, unread, None, "nobody", tuple(notes))
        if not self._has_read and not seen.servers and seen.unreadable:
            name, error = next(iter(seen.unreadable.items()))
            raise ServerError(f"{name}: {error}", servers[name].url)
        self._has_read = True
        if self._has_lost and self._applying and self._found is None:
            return seen._replace(notes=(*seen.notes, self._loaded_again(running, servers)))
        return seen

    def _loaded_again(self, running: Plans, access: Mapping[str, ServerAccess]) -> str:
        """Bring servers that have lost adapters back to the plans that run, and say what came of it."""
        try:
            change = self._come_to(running, access)
        except AdaptwinError as error:
            return f"what servers have lost is not loaded again: {error}"
        return "; ".join(change.notes) or "what servers had lost is loaded again"

    def change(self, found: Plans) -> FleetChange:
        """Apply the plans that were found, or see whether the fleet has come to them."""
        self._found = found
        try:
            if self._on_found and found is not self._told:
                self._on_found(found)
            self._told = found
            access = read_servers(self._access.servers, servers_to_reach(found.plans), others=True)
            change = self._come_to(found, access)
        except AdaptwinError as error:
            return FleetChange(is_complete=False, notes=(str(error),))
        if change.is_complete:
            self._found = None
        return change

    def _come_to(self, found: Plans, access: Mapping[str, ServerAccess]) -> FleetChange:
        if self._applying is None:
            return FleetChange(in_event_loop(lambda: self._has_come_to(found, access)))
        applied = apply(found.plans, access, self._applying(found.plans, access), progress=self._progress)
        return FleetChange(applied.is_complete, tuple(_left(applied)))

    def _addresses(self, names: Sequence[str]) -> tuple[dict[str, ServerAccess], list[str]]:
        """Return where servers are, and notes: addresses that were read before serve while the file is damaged."""
        try:
            found = read_servers(self._access.servers, names, others=True)
        except SpecError as error:
            found = {name: self._reached[name] for name in names if name in self._reached}
            if not self._has_read or not found:
                raise
            return found, [f"{error}; the addresses that were read before are used"]
        self._reached.update(found)
        return found, []

    async def _has_come_to(self, found: Plans, access: Mapping[str, ServerAccess]) -> bool:
        """Whether the servers have the adapters and the settings of plans, as far as they say them."""
        serving = {server.name: server for plan in found.plans for server in plan.serving}
        async with connected({name: access[name] for name in serving}, self._access.api_key) as servers:
            states = await states_of(servers)
        restarts, _ = differing_settings(found.plans, states)
        return not restarts and all(
            server.merged or {*server.adapters} <= {*states[name].loaded, *_base_names(found)}
            for name, server in serving.items()
        )

    async def _observed(self, running: Plans, access: Mapping[str, ServerAccess], notes: list[str]) -> Observed:
        readings: dict[str, list[Reading]] = {
            name: [self._last[each.url]] if each.url in self._last else [] for name, each in access.items()
        }
        errors: dict[str, str] = {}
        samples = max(2, round(self._every / SAMPLE_SECONDS) + 1)
        async with connected(access, self._access.api_key) as servers:
            began = time.monotonic()
            await self._read_router(notes, is_start=True)
            for sample in range(samples):
                due = began + self._every * sample / (samples - 1)
                self._progress("watching", int(self._every * sample / (samples - 1)), int(self._every))
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await asyncio.gather(*(_read(name, each, readings[name], errors) for name, each in servers.items()))
            counted = await self._read_router(notes, is_start=False)
            readable = {name: each for name, each in servers.items() if name not in errors}
            lost = await _not_loaded(_kept_adapters(running, self._found), readable)
            self._has_lost = bool(lost)
            notes += lost
        watched = {
            name: WatchedServer(name=name, url=access[name].url, readings=_from_zero(found))
            for name, found in readings.items()
            if name not in errors and len(found) > 1
        }
        self._last = {access[name].url: readings[name][-1] for name in watched}
        measured = {name: ObservedServer.of_metrics(each) for name, each in watched.items()}
        notes += [
            f"{name}: its counters have begun again, so it has restarted"
            for name, server in measured.items()
            if server.requests is None
        ]
        requests, source = self._requests(running, measured, counted, notes)
        return Observed(
            time=time.time(),
            seconds=self._every,
            servers=measured,
            unreadable=errors,
            requests=requests,
            source=source,
            notes=tuple(notes),
        )

    async def _read_router(self, notes: list[str], *, is_start: bool) -> CountedModels | None:
        """Read the router, if there is one; why that failed is added to the notes, once per stretch."""
        if self._router is None:
            return None
        try:
            async with session_with(self._access.router_key) as session:
                found = await self._router.read(session, time.time(), self._every)
        except ServerError as error:
            if not is_start:
                notes.append(f"the router's counters are not known: {error}")
            return None
        if found is None and not is_start:
            notes.append("the router's counters are not known: it could not be read when the round began")
        return None if is_start else found

    def _requests(
        self,
        running: Plans,
        measured: Mapping[str, ObservedServer],
        counted: CountedModels | None,
        notes: list[str],
    ) -> tuple[dict[str, Counted] | None, str]:
        """Return the requests of the adapters, and who counted them; None if that is not known."""
        if self._router is not None and counted is None:
            return None, self._router.url
        if counted is None or not counted.knows_adapters:
            if all(server.requests is None for server in measured.values()):
                return None, "vLLM"
            serving = [server.name for plan in running.plans for server in plan.serving]
            if unknown := [name for name in serving if name not in measured or measured[name].requests is None]:
                notes.append(f"requests taken to be as planned, as they are not known: {_in_a_note(unknown)}")
            return requests_as_planned(running, measured, self._every), "vLLM, shared as planned"
        known = {adapter.name for plan in running.plans for adapter in plan.workload.adapters}
        strangers = sorted(name for name, each in counted.models.items() if name not in known and each.requests > 0)
        if strangers:
            notes.append(f"requests name models that no plan has: {_in_a_note(strangers)}")
        models = {name: each for name, each in counted.models.items() if name in known}
        return with_unanswered(models, running, measured, self._every), counted.title


async def _read(name: str, server: VllmServer, readings: list[Reading], errors: dict[str, str]) -> None:
    """Read the metrics of a server once; an error stands until a later reading succeeds."""
    try:
        readings.append(Reading(time.monotonic(), await server.metrics()))
        errors.pop(name, None)
    except ServerError as error:
        errors[name] = error.message


def _kept_adapters(running: Plans, found: Plans | None) -> dict[str, list[str]]:
    """Return the adapters that servers should have loaded, whether or not the fleet is on its way to other plans."""
    now, then = (
        {name: adapters for plan in plans.plans for name, adapters in wanted_adapters(plan).items()}
        for plans in (running, found or running)
    )
    return {name: [each for each in adapters if each in then.get(name, ())] for name, adapters in now.items()}


async def _not_loaded(kept: Mapping[str, Sequence[str]], servers: Mapping[str, VllmServer]) -> list[str]:
    """Return which adapters servers have not loaded and should have, in words: a restart loses them."""
    wanted = {name: adapters for name, adapters in kept.items() if name in servers and adapters}

    async def said(name: str) -> str:
        try:
            listed = await servers[name].models()
        except ServerError as error:
            return f"{name}: the adapters that it has loaded are not known: {error.message}"
        missing = [adapter for adapter in wanted[name] if adapter not in listed.names]
        return f"{name} has not loaded adapters that the plan has there: {_in_a_note(missing)}" if missing else ""

    return [line for line in await asyncio.gather(*(said(name) for name in wanted)) if line]


def _in_a_note(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_IN_A_NOTE} more" if len(names) > NAMES_IN_A_NOTE else ""
    return f"{', '.join(visible(name) for name in names[:NAMES_IN_A_NOTE])}{more}"


def _from_zero(readings: list[Reading]) -> tuple[Reading, ...]:
    return tuple(Reading(reading.seconds - readings[0].seconds, reading.metrics) for reading in readings)


def _base_names(found: Plans) -> list[str]:
    """Return the adapters that stand for traffic to a base model, which no server lists."""
    return [adapter.name for plan in found.plans for adapter in plan.workload.adapters if not adapter.rank]


def _left(applied: Applied) -> list[str]:
    """Return what is left to do until plans are applied, a sentence each."""
    found = list(applied.notes) if applied.waits_for else []
    if applied.waits_for:
        found.insert(0, f"somebody must {applied.waits_for.action} {applied.waits_for.server}")
    if applied.waits_for_routes:
        found.append("requests must be routed by the plan: give --routes, or --routed once they are")
    found += [f"{name} must restart: {', '.join(lines)}" for name, lines in applied.restarts.items()]
    if applied.undrained:
        found.append(f"{len(applied.undrained)} adapters stay loaded until their requests end")
    return found
