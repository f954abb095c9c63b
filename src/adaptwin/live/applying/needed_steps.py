"""Steps that a running fleet needs to become that of a plan: load, route, unload, in this order."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from adaptwin.errors import SpecError
from adaptwin.live.applying.adapter_paths import AdapterPaths
from adaptwin.live.applying.routes_file import planned_routes
from adaptwin.live.applying.running_fleet import ServerState
from adaptwin.model_names import same_shapes
from adaptwin.plan.migration import Step
from adaptwin.plan.plan import Plan
from adaptwin.plan.routes import Route


class Needed(NamedTuple):
    """What a running fleet needs, and what is left alone."""

    steps: tuple[Step, ...]
    unmanaged: dict[str, tuple[str, ...]]  # by server: adapters that are loaded there and that the plan does not know


def wanted_adapters(plan: Plan) -> dict[str, list[str]]:
    """Return the LoRA adapters that each server of a plan should have loaded, by server, standbys left out."""
    ranks = {adapter.name: adapter.rank for adapter in plan.workload.adapters}
    return {
        server.name: [] if server.merged else [name for name in server.adapters if ranks[name] > 0]
        for server in plan.serving
    }


def needed_steps(
    plans: Sequence[Plan],
    states: Mapping[str, ServerState],
    routes: Mapping[str, Route] | None,
    paths: AdapterPaths,
    *,
    unload_unmanaged: bool = False,
    departed: Collection[str] = (),
    reloads: Sequence[Step] = (),
) -> Needed:
    """Return the steps from a running fleet to plans, in an order in which every adapter stays served.

    All loads come first, then the routes, and unloads at the end, when no request goes there any more.

    Args:
        plans: Plans with different base models.
        states: State of every server with adapters in the plans, by name.
        routes: Routes that are in force; None: not known, so that all are set.
        paths: Where the weights of adapters are.
        unload_unmanaged: Whether to unload adapters that the plans do not know, too.
        reloads: Loads that replace the weights of an adapter that is loaded already.
        departed: Further adapters to unload, which an earlier plan had.
    """
    managed = {adapter.name for plan in plans for adapter in plan.workload.adapters} | {*departed}
    loads: list[Step] = []
    unloads: list[Step] = []
    unmanaged: dict[str, tuple[str, ...]] = {}
    for server, wanted in ((name, each) for plan in plans for name, each in wanted_adapters(plan).items()):
        loaded = states[server].loaded
        loads += list(_loads(server, wanted, loaded, paths))
        strangers = [name for name in loaded if name not in {*wanted}]
        to_unload = [name for name in strangers if name in managed or unload_unmanaged]
        unloads += [Step(action="unload", server=server, adapter=name) for name in to_unload]
        if left := tuple(name for name in strangers if not (name in managed or unload_unmanaged)):
            unmanaged[server] = left
    loads += [step for step in reloads if step not in loads]
    routings = [*_routings(plans, routes, departed), *_strangers_left_out(unloads, routes, managed)]
    return Needed((*loads, *routings, *unloads), unmanaged)


def _loads(server: str, wanted: Sequence[str], loaded: Mapping[str, str], paths: AdapterPaths) -> Iterator[Step]:
    for name in wanted:
        if name not in loaded or paths.differs(name, loaded[name]):
            yield Step(action="load", server=server, adapter=name)


def _routings(plans: Sequence[Plan], routes: Mapping[str, Route] | None, departed: Collection[str]) -> Iterator[Step]:
    before = routes or {}
    for name, route in planned_routes(plans).items():
        if before.get(name) != route:
            yield Step(action="route", adapter=name, shares=route)
    for name in sorted({*departed} & {*before}):
        if before[name]:
            yield Step(action="route", adapter=name, shares={})


def _strangers_left_out(
    unloads: Sequence[Step], routes: Mapping[str, Route] | None, managed: Collection[str]
) -> Iterator[Step]:
    """Yield the routes of adapters that no plan knows, without the servers that unload them."""
    left = {name: {**route} for name, route in (routes or {}).items() if name not in managed}
    for step in unloads:
        left.get(step.adapter or "", {}).pop(step.server or "", None)
    for name, route in left.items():
        if route != (routes or {})[name]:
            yield Step(action="route", adapter=name, shares=route)


def require_base_models(plans: Sequence[Plan], states: Mapping[str, ServerState]) -> tuple[str, ...]:
    """Return what is taken on trust of the models that servers serve, in words.

    Raises:
        SpecError: A server does not serve what the plan puts there: the base model, or a merged adapter.
    """
    said = []
    placed = ((plan, server) for plan in plans for server in plan.serving)
    for its_plan, server in placed:
        models = states[server.name].models
        base = models.base
        if server.merged:
            name = next(iter(server.adapters))
            if name not in models.names:
                raise SpecError(f"serves {base.name!r}: start it with the weights of {name!r} merged", server.name)
        elif not any(same_shapes(each, its_plan.base) for each in (base.name, base.root)):
            if len(plans) > 1 or not base.root.startswith(("/", ".", "~")):
                raise SpecError(f"serves {base.name!r}, and the plan is for {its_plan.base!r}", server.name)
            said.append(f"{server.name} serves {base.name} from {base.root}, which is taken for {its_plan.base}.")
    return tuple(said)
