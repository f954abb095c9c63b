"""Carrying out steps on running servers: loads and unloads with retries, routes with a command, each verified."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from adaptwin.errors import ServerError
from adaptwin.live.applying.adapter_paths import AdapterPaths
from adaptwin.live.applying.command import CommandError, run_command
from adaptwin.live.applying.routes_file import RoutesFile
from adaptwin.live.applying.tries import naming, tried
from adaptwin.live.vllm_server import VllmServer
from adaptwin.plan.migration import Step
from adaptwin.plan.routes import Route
from adaptwin.progress import Progress, silent

CALM_READINGS = 3  # of a server's metrics, in a row, after which an adapter has no requests there
READING_EVERY = 1.0  # seconds


@dataclass
class CarryOut:
    """Carries out steps; what is done already is left as it is, so that steps may be taken again.

    Attributes:
        servers: Connections, by name of the server.
        paths: Where the weights of adapters are.
        routes: Routes that are in force; changed by the steps.
        routes_file: File that gets the routes whenever they change; None: none.
        on_routes: Called with the routes whenever they change, before the command; None: nothing.
        command: Words of the command that is run with the name of that file after each change; empty: none.
        command_timeout: Seconds that the command may take.
        are_followed: Whether routers follow a change of the routes by themselves; otherwise the file stays unsettled.
        settle: Seconds after a change of the routes until no router sends a request by the old ones.
        drain: Seconds that the requests of an adapter get to end before it stays loaded.
        reloads: Loads that replace the weights of an adapter that is loaded already.
        progress: Called with the number of steps taken.
    """

    servers: Mapping[str, VllmServer]
    paths: AdapterPaths
    routes: dict[str, Route]
    routes_file: Path | None = None
    on_routes: Callable[[Mapping[str, Route]], None] | None = None
    command: Sequence[str] = ()
    command_timeout: float = 300.0
    are_followed: bool = True
    settle: float = 5.0
    drain: float = 300.0
    reloads: Sequence[Step] = ()
    progress: Progress = silent
    taken: int = 0
    undrained: list[Step] = field(default_factory=list)  # unloads that were left out as requests did not end

    async def run(self, steps: Sequence[Step]) -> None:
        """Take all steps in their order; raises `ServerError` or `CommandError` at the first that fails."""
        for action, group in groupby(steps, key=lambda step: step.action):
            await self._group(action, list(group), len(steps))

    async def _group(self, action: str, steps: list[Step], total: int) -> None:
        if action == "route":
            await self._route(steps)
            self._note(len(steps), total)
            return
        take = self._load_in_turn if action == "load" else self._unload_in_turn
        await _all_of([take(each[0].server or "", each, total) for each in _by_server(steps)])
        await _all_of([self._verify(action, each) for each in _by_server(steps)])

    def _note(self, count: int, total: int) -> None:
        self.taken += count
        self.progress("applying the plan", self.taken, total)

    async def _load_in_turn(self, server: str, steps: list[Step], total: int) -> None:
        """Load the adapters of one server one after the other."""
        with naming(server):
            for step in steps:
                await self._load(self.servers[server], step)
                self._note(1, total)

    async def _unload_in_turn(self, server: str, steps: list[Step], total: int) -> None:
        """Unload the adapters of one server once they have no requests, those that keep some left out."""
        with naming(server):
            busy = await self._busy_at_the_end(self.servers[server], [step.adapter or "" for step in steps])
        self.undrained += [step for step in steps if step.adapter in busy]
        for step in steps:
            if step.adapter not in busy:
                await self._require_served_elsewhere(step)
                with naming(server):
                    await self._unload(self.servers[server], step.adapter or "")
                self._note(1, total)

    async def _load(self, server: VllmServer, step: Step) -> None:
        name = step.adapter or ""
        path = self.paths.path(name)

        async def load() -> None:
            loaded = {adapter.name: adapter.root for adapter in (await server.models()).adapters}
            if name not in loaded:
                await server.load_adapter(name, path)
            elif step in self.reloads or self.paths.differs(name, loaded[name]):
                await server.load_adapter(name, path, in_place=True)

        await tried(load)

    async def _unload(self, server: VllmServer, name: str) -> None:
        async def unload() -> None:
            if name in (await server.models()).names:
                await server.unload_adapter(name)

        await tried(unload)

    async def _require_served_elsewhere(self, step: Step) -> None:
        """Raise `ServerError` if an adapter is routed to where it is to be unloaded, or to where it is not loaded."""
        name, server = step.adapter or "", step.server or ""
        for target in {*self.routes.get(name, {})} & {*self.servers}:
            url = self.servers[target].url
            if target == server:
                raise ServerError(f"{server}: adapter {name!r} is still routed there, so it is not unloaded", url)
            with naming(target):
                if name not in (await tried(self.servers[target].models)).names:
                    what = f"adapter {name!r} is routed there, and not loaded any more, so it stays loaded on {server}"
                    raise ServerError(f"{what}: call the same command again", url)

    async def _busy_at_the_end(self, server: VllmServer, names: Sequence[str]) -> set[str]:
        """Wait until adapters have no requests on a server; return those that still have some when the time is up."""
        clock, calm = asyncio.get_running_loop().time, dict.fromkeys(names, 0)
        until = clock() + self.drain
        while True:
            metrics = await tried(server.metrics)
            has_requests = metrics.running != 0 or metrics.waiting != 0
            listed = {*metrics.running_adapters, *metrics.waiting_adapters} if has_requests else set()
            if metrics.waiting_by_reason.get("deferred"):  # of adapters that vLLM does not list
                listed |= set(names)
            calm = {name: 0 if name in listed else readings + 1 for name, readings in calm.items()}
            busy = {name for name, readings in calm.items() if readings < CALM_READINGS}
            if not busy or clock() >= until:
                return busy
            await asyncio.sleep(READING_EVERY)

    async def _verify(self, action: str, steps: list[Step]) -> None:
        """Check by the list of its models that a server did what it was told."""
        server = steps[0].server or ""
        with naming(server):
            names = (await tried(self.servers[server].models)).names
            for step in steps:
                if step not in self.undrained and (step.adapter in names) != (action == "load"):
                    what = f"adapter {step.adapter!r} was {action}ed, and /v1/models does not show it"
                    raise ServerError(what, self.servers[server].url)

    async def _route(self, steps: list[Step]) -> None:
        """Change routes, and wait until routers follow them."""
        changed = {step.adapter or "": dict(step.shares or {}) for step in steps}
        self.routes.update(changed)
        if self.routes_file:
            RoutesFile(routes=self.routes, settled=False).write(self.routes_file)
        if self.on_routes:
            self.on_routes(self.routes)
        if self.command:
            await asyncio.to_thread(self._run_command)
        if self.routes_file and self.are_followed:
            await asyncio.sleep(self.settle)
            RoutesFile(routes=self.routes).write(self.routes_file)

    def _run_command(self) -> None:
        words = [*self.command, *([str(self.routes_file)] if self.routes_file else [])]
        try:
            run_command(words, self.command_timeout)
        except CommandError as error:
            raise CommandError(f"{error}; nothing is unloaded") from None


def _by_server(steps: Sequence[Step]) -> list[list[Step]]:
    groups: dict[str, list[Step]] = {}
    for step in steps:
        groups.setdefault(step.server or "", []).append(step)
    return list(groups.values())


async def _all_of(lines: Sequence[Awaitable[None]]) -> None:
    """Wait for all, and then raise the error of the first one that failed: the others finish what they began."""
    for result in await asyncio.gather(*lines, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
