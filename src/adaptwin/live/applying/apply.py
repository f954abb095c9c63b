"""apply: bring running servers to a plan, with no adapter ever unserved."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from adaptwin.errors import ServerError, SpecError
from adaptwin.live.applying.adapter_paths import AdapterPaths
from adaptwin.live.applying.applied import Applied
from adaptwin.live.applying.carry_out import CarryOut
from adaptwin.live.applying.differing_settings import differing_settings, unsaid_settings
from adaptwin.live.applying.journal import note_taken, steps_taken
from adaptwin.live.applying.needed_steps import Needed, needed_steps, require_base_models
from adaptwin.live.applying.routes_file import read_routes
from adaptwin.live.applying.running_fleet import ServerState, connected, states_of
from adaptwin.live.applying.server_access import ServerAccess
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
    adapters_folder: str | None = None
    unload_unmanaged: bool = False
    settle: float = 5.0
    drain: float = 300.0
    journal: Path | None = None
    api_key: str | None = None
    dry_run: bool = False


def servers_to_reach(plans: Sequence[Plan]) -> list[str]:
    """Return the servers whose addresses are needed: those with adapters, and those of the steps of a migration."""
    serving = [server.name for plan in plans for server in plan.servers if not server.is_standby]
    steps = [step for plan in plans for step in _migration_steps(plan)]
    return list(dict.fromkeys([*serving, *(step.server for step in steps if step.server and step.action != "stop")]))


def apply(
    plans: Sequence[Plan],
    access: Mapping[str, ServerAccess],
    options: ApplyOptions | None = None,
    *,
    progress: Progress = silent,
) -> Applied:
    """Bring running servers to plans: load adapters, switch the routes, and unload what is no longer routed there.

    Every step is verified, and what is done already is left as it is: a call that failed or was stopped is made again.
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
    found: Applied = in_event_loop(lambda: _apply(plans, access, options or ApplyOptions(), progress))
    return found


async def _apply(
    plans: Sequence[Plan], access: Mapping[str, ServerAccess], options: ApplyOptions, progress: Progress
) -> Applied:
    paths = AdapterPaths.of_plans(plans, options.adapters_folder)
    by_hand = [step for plan in plans for step in _migration_steps(plan) if step.action in BY_HAND]
    async with connected(access, options.api_key) as servers:
        if any(step.action != "stop" for step in by_hand):
            return await _migrate(plans, servers, paths, options, progress)
        serving = {server.name for plan in plans for server in plan.servers if not server.is_standby}
        states = await states_of({name: server for name, server in servers.items() if name in serving})
        require_base_models(plans, states)
        routes = read_routes(options.routes_file) if options.routes_file else None
        departed = {
            step.adapter or ""
            for plan in plans
            for step in _migration_steps(plan)
            if step.action == "unload" and step.adapter not in paths.artifacts
        }
        needed = needed_steps(
            plans, states, routes, paths, unload_unmanaged=options.unload_unmanaged, departed=departed
        )
        return await _take(needed, plans, states, servers, paths, options, progress)


async def _take(
    needed: Needed,
    plans: Sequence[Plan],
    states: Mapping[str, ServerState],
    servers: Mapping[str, VllmServer],
    paths: AdapterPaths,
    options: ApplyOptions,
    progress: Progress,
) -> Applied:
    """Take the steps that a running fleet needs, unless it is a dry run."""
    for step in needed.steps:
        if step.action == "load":
            paths.path(step.adapter or "")  # raises before anything is done
    stopped = [step.server for plan in plans for step in _migration_steps(plan) if step.action == "stop"]
    answer = Applied(
        steps=needed.steps,
        to_stop=tuple(name for name in stopped if name),
        restarts=differing_settings(plans, states),
        unchecked=unsaid_settings(states),
        unmanaged=needed.unmanaged,
        is_dry_run=options.dry_run,
    )
    if options.dry_run:
        return answer
    carried = _carrying_out(servers, paths, options, progress)
    await carried.run(needed.steps)
    return answer.model_copy(update={"taken": carried.taken, "undrained": tuple(carried.undrained)})


def _carrying_out(
    servers: Mapping[str, VllmServer], paths: AdapterPaths, options: ApplyOptions, progress: Progress
) -> CarryOut:
    routes = (read_routes(options.routes_file) if options.routes_file else None) or {}
    return CarryOut(
        servers,
        paths,
        routes,
        routes_file=options.routes_file,
        command=options.command,
        on_routes=options.on_routes,
        settle=options.settle,
        drain=options.drain,
        progress=progress,
    )


async def _migrate(
    plans: Sequence[Plan],
    servers: Mapping[str, VllmServer],
    paths: AdapterPaths,
    options: ApplyOptions,
    progress: Progress,
) -> Applied:
    """Take the steps of a migration one after the other, from where the journal says, up to one that needs hands."""
    steps = [step for plan in plans for step in _migration_steps(plan)]
    if options.journal is None:
        raise SpecError("the plan starts or restarts servers: give a file that keeps how far its steps are", "journal")
    answer = Applied(steps=tuple(steps), taken=steps_taken(options.journal, steps), is_dry_run=options.dry_run)
    if options.dry_run:
        return answer
    carried = _carrying_out(servers, paths, options, progress)
    taken = answer.taken
    for action, group in groupby(steps[taken:], key=lambda step: step.action):
        alike = list(group)
        if action not in BY_HAND:
            await carried.run(alike)
        elif waits_for := await _not_started(alike, plans, servers):
            return answer.model_copy(update={"taken": taken, "waits_for": waits_for})
        taken += len(alike)
        note_taken(options.journal, steps, taken)
    stopped = tuple(step.server for step in steps if step.action == "stop" and step.server)
    update = {"taken": len(steps), "to_stop": stopped, "undrained": tuple(carried.undrained)}
    return answer.model_copy(update=update)


async def _not_started(steps: Sequence[Step], plans: Sequence[Plan], servers: Mapping[str, VllmServer]) -> Step | None:
    """Return the first step whose server does not run with the settings of the plan, as far as it says them."""
    for step in steps:
        name = step.server or ""
        if step.action == "stop":
            continue
        try:
            states = await states_of({name: servers[name]})
        except ServerError:
            return step
        if name in differing_settings(plans, states):
            return step
    return None


def _migration_steps(plan: Plan) -> tuple[Step, ...]:
    return plan.migration.steps if plan.migration else ()
