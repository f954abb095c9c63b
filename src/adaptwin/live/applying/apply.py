"""apply: bring running servers to a plan, with no adapter ever unserved."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from adaptwin.errors import ServerError, SpecError
from adaptwin.live.applying.adapter_paths import AdapterPaths
from adaptwin.live.applying.applied import Applied
from adaptwin.live.applying.carry_out import CarryOut
from adaptwin.live.applying.differing_settings import differing_settings, unsaid_settings
from adaptwin.live.applying.journal import note_taken, steps_taken
from adaptwin.live.applying.needed_steps import needed_steps, require_base_models, wanted_adapters
from adaptwin.live.applying.routes_file import RoutesFile, are_settled, planned_routes, read_routes
from adaptwin.live.applying.running_fleet import ServerState, connected, states_of
from adaptwin.live.applying.server_access import ServerAccess
from adaptwin.live.applying.tries import naming, tried
from adaptwin.live.connection import in_event_loop
from adaptwin.live.vllm_server import VllmServer
from adaptwin.plan.migration import Step
from adaptwin.plan.plan import Plan
from adaptwin.plan.routes import Route
from adaptwin.progress import Progress, silent

BY_HAND = ("start", "restart", "stop")


class ApplyOptions(NamedTuple):
    """How a plan is applied; see `apply`."""

    routes_file: Path | None = None
    command: tuple[str, ...] = ()
    on_routes: Callable[[Mapping[str, Route]], None] | None = None  # called with the routes before the command
    command_timeout: float = 300.0
    router_restarts: bool = False  # whether routers follow the routes only once somebody has started them again
    is_routed: bool = False  # whether requests are routed by the plan already, where the call cannot see to it
    adapters_folder: str | None = None
    unload_unmanaged: bool = False
    settle: float = 5.0
    drain: float = 300.0
    journal: Path | None = None
    api_key: str | None = None
    dry_run: bool = False


def servers_to_reach(plans: Sequence[Plan]) -> list[str]:
    """Return the servers whose addresses are needed: those with adapters, and those of the steps of a migration."""
    steps = (step for step in _migration_steps(plans) if step.server and step.action != "stop")
    return list(dict.fromkeys([*_serving(plans), *(step.server or "" for step in steps)]))


def apply(
    plans: Sequence[Plan],
    access: Mapping[str, ServerAccess],
    options: ApplyOptions | None = None,
    *,
    progress: Progress = silent,
) -> Applied:
    """Bring running servers to plans: load adapters, switch the routes, and unload what is no longer routed there.

    Every step is verified, and what is done already is left as it is: a call that failed or was stopped is made again.
    Without a routes file, or with a router that must be started again, nothing is unloaded until the caller says that
    requests are routed by the plan.

    A plan of a replan that starts or restarts servers has its own steps; a journal keeps how far they are. Where one
    of them needs hands, the steps end there, and go on with the next call.

    Args:
        plans: Plans with different base models.
        access: Where each server runs, by name; see `servers_to_reach`.
        options: Routes file and command, folder of adapters, times, and whether to do anything at all.
        progress: Called with the number of steps taken.

    Raises:
        SpecError: A server serves another model than planned, or an adapter has no weights that vLLM can load.
        ServerError: A server does not answer, or refuses a step; nothing is unloaded before all loads are done.
        CommandError: The command that switches the routes failed.
    """
    used = options or ApplyOptions()

    async def work() -> Applied:
        async with connected(access, used.api_key) as servers:
            return await _Applying(plans, servers, used, progress).run()

    found: Applied = in_event_loop(work)
    return found


@dataclass
class _Applying:
    """One call: plans, connections by name of the server, and options."""

    plans: Sequence[Plan]
    servers: Mapping[str, VllmServer]
    options: ApplyOptions
    progress: Progress

    def __post_init__(self) -> None:
        self.paths = AdapterPaths.of_plans(self.plans, self.options.adapters_folder)
        self.migration = list(_migration_steps(self.plans))
        self.taken_before = steps_taken(self.options.journal, self.migration) if self.options.journal else 0

    async def run(self) -> Applied:
        """Take the steps of a migration that needs hands, and then those that are still needed."""
        if any(step.action in BY_HAND and step.action != "stop" for step in self.migration[self.taken_before :]):
            answer = await self._migrate()
            if answer.waits_for or answer.waits_for_routes or answer.is_dry_run:
                return answer
            self.taken_before = len(self.migration)
        return await self._converge()

    async def _converge(self) -> Applied:
        """Take the steps that a running fleet needs, unless it is a dry run."""
        states = await states_of({name: self.servers[name] for name in _serving(self.plans)})
        notes = require_base_models(self.plans, states)
        reloads = [] if self._is_migrated() else self._reloads(states)
        needed = needed_steps(
            self.plans,
            states,
            self._settled_routes(),
            self.paths,
            unload_unmanaged=self.options.unload_unmanaged,
            departed=self._departed(),
            reloads=reloads,
        )
        self._require_possible(needed.steps, states)
        restarts, more = differing_settings(self.plans, states)
        answer = Applied(
            steps=needed.steps,
            reloads=tuple(step for step in needed.steps if self._is_reload(step, states)),
            to_stop=tuple(step.server for step in self.migration if step.action == "stop" and step.server),
            restarts=restarts,
            notes=(*notes, *more),
            unchecked=unsaid_settings(states),
            unmanaged=needed.unmanaged,
            is_dry_run=self.options.dry_run,
        )
        if self.options.dry_run:
            return answer
        steps = self._possible_now(needed.steps)
        carried = self._carrying_out(reloads)
        await carried.run(steps)
        if carried.taken:
            await self._require_kept()
        is_all = len(steps) == len(needed.steps)
        if self.options.journal and self.migration and is_all:
            note_taken(self.options.journal, self.migration, len(self.migration))
        if is_all:
            self._note_settled()
        update = {"taken": carried.taken, "undrained": tuple(carried.undrained), **self._waiting(not is_all)}
        return answer.model_copy(update=update)

    def _possible_now(self, steps: Sequence[Step]) -> Sequence[Step]:
        """Return the steps that this call can take: those up to the unloads, if requests may still go there."""
        if self._may_unload(is_rerouted=any(step.action == "route" for step in steps)):
            return steps
        taken = ("load",) if self.options.routes_file is None else ("load", "route")
        return [step for step in steps if step.action in taken]

    def _may_unload(self, *, is_rerouted: bool) -> bool:
        """Whether requests go by the routes; `is_rerouted`: this call has changed them."""
        file = self.options.routes_file
        if file and not self.options.router_restarts:
            return True
        return not is_rerouted and (self.options.is_routed or bool(file and are_settled(file)))

    def _waiting(self, waits: bool) -> dict[str, bool]:
        """Return the fields of what the steps wait for, if they wait for routes."""
        return {"waits_for_routes": waits, "waits_for_router": waits and self.options.router_restarts}

    def _note_settled(self) -> None:
        """Note in the routes file that routers follow it, if the caller says so."""
        file = self.options.routes_file
        if file and file.exists() and self.options.is_routed and not are_settled(file):
            RoutesFile(routes=read_routes(file) or {}).write(file)

    async def _require_kept(self) -> None:
        """Raise `ServerError` if a server has not all adapters of the plan any more, as after a restart."""
        for name, wanted in ((name, each) for plan in self.plans for name, each in wanted_adapters(plan).items()):
            with naming(name):
                loaded = (await tried(self.servers[name].models)).names
                if missing := [adapter for adapter in wanted if adapter not in loaded]:
                    what = f"adapter {missing[0]!r} is not loaded any more: call the same command again"
                    raise ServerError(what, self.servers[name].url)

    async def _migrate(self) -> Applied:
        """Take the steps of a migration in their order, from where the journal says, up to one that needs hands."""
        journal, routes_file = self.options.journal, self.options.routes_file
        if journal is None:
            raise SpecError(
                "the plan starts or restarts servers: give a file that keeps how far its steps are", "journal"
            )
        if routes_file and not routes_file.exists():
            raise SpecError(
                "is not there: apply the plan that runs first, so that it holds the routes of all adapters",
                file=routes_file,
            )
        steps, taken = self.migration, self.taken_before
        answer = Applied(steps=tuple(steps), taken=taken, is_dry_run=self.options.dry_run)
        if self.options.dry_run:
            return answer
        carried, is_rerouted = self._carrying_out([step for step in steps if step.action == "load"]), False
        for action, group in groupby(steps[taken:], key=lambda step: step.action):
            alike = list(group)
            if action == "unload" and not self._may_unload(is_rerouted=is_rerouted):
                return answer.model_copy(update={"taken": taken, **self._waiting(True)})
            if action not in BY_HAND:
                await carried.run(alike)
                is_rerouted |= action == "route"
            elif waits_for := await self._not_started(alike):
                return answer.model_copy(update={"taken": taken, "waits_for": waits_for[0], "notes": waits_for[1]})
            taken += len(alike)
            note_taken(journal, steps, taken)
        return answer.model_copy(update={"taken": taken})

    async def _not_started(self, steps: Sequence[Step]) -> tuple[Step, tuple[str, ...]] | None:
        """Return the first step whose server does not run as planned, as far as it says, and why."""
        for step in steps:
            name = step.server or ""
            if step.action == "stop":
                continue
            try:
                states = await states_of({name: self.servers[name]})
            except ServerError as error:
                return step, (str(error),)
            if lines := differing_settings(self.plans, states)[0].get(name):
                return step, lines
        return None

    def _carrying_out(self, reloads: Sequence[Step]) -> CarryOut:
        options = self.options
        routes = dict((read_routes(options.routes_file) if options.routes_file else None) or {})
        return CarryOut(
            self.servers,
            self.paths,
            routes or self._routes_so_far(),
            routes_file=options.routes_file,
            command=options.command,
            on_routes=options.on_routes,
            command_timeout=options.command_timeout,
            are_followed=not options.router_restarts,
            settle=options.settle,
            drain=options.drain,
            reloads=reloads,
            progress=self.progress,
        )

    def _routes_so_far(self) -> dict[str, Route]:
        """Return the routes that are known without a file: those that no step changes, and those of taken steps."""
        routed = {step.adapter for step in self.migration if step.action == "route"}
        found = {name: route for name, route in planned_routes(self.plans).items() if name not in routed}
        taken = (step for step in self.migration[: self.taken_before] if step.action == "route")
        return {**found, **{step.adapter or "": dict(step.shares or {}) for step in taken}}

    def _settled_routes(self) -> dict[str, Route] | None:
        """Return the routes that all routers follow; None if they are not known."""
        file = self.options.routes_file
        if file is None:
            return planned_routes(self.plans) if self.options.is_routed else None
        return read_routes(file) if self.options.is_routed or are_settled(file) else None

    def _is_migrated(self) -> bool:
        return bool(self.migration) and self.taken_before == len(self.migration)

    def _reloads(self, states: Mapping[str, ServerState]) -> list[Step]:
        """Return the loads of a migration that replace the weights of an adapter that is loaded there already."""
        loads = (step for step in self.migration if step.action == "load" and step.server in states)
        return [step for step in loads if step.adapter in states[step.server or ""].loaded]

    def _is_reload(self, step: Step, states: Mapping[str, ServerState]) -> bool:
        return step.action == "load" and step.adapter in states[step.server or ""].loaded

    def _departed(self) -> set[str]:
        """Return the adapters of the plan before that a migration unloads for good."""
        unloads = {step.adapter or "" for step in self.migration if step.action == "unload"}
        return unloads - set(self.paths.artifacts)

    def _require_possible(self, steps: Sequence[Step], states: Mapping[str, ServerState]) -> None:
        """Raise an error before anything is done if a step cannot be taken."""
        for step in steps:
            if step.action == "load":
                self.paths.path(step.adapter or "")
            if step.action == "unload" and states[step.server or ""].metrics is None:
                what = (
                    f"{step.server} has no /metrics, so it is unknown when the requests of {step.adapter!r} have ended"
                )
                raise ServerError(what, self.servers[step.server or ""].url)


def _serving(plans: Sequence[Plan]) -> list[str]:
    return [server.name for plan in plans for server in plan.serving]


def _migration_steps(plans: Sequence[Plan]) -> Iterator[Step]:
    for plan in plans:
        yield from plan.migration.steps if plan.migration else ()
