"""diagnose: say what binds running servers and, with a plan or fleet, which one change ends it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from adaptwin.live.addresses import Address
from adaptwin.live.advice import SimulatedServer
from adaptwin.live.binding_seen import Expected, diagnosis_of
from adaptwin.live.calls import Calls
from adaptwin.live.deployment import (
    Deployment,
    as_seen,
    deployment_of_fleet,
    deployment_of_plan,
    names_in_plan,
    require_in_plan,
)
from adaptwin.live.diagnosis import DiagnosedServer, Diagnoses
from adaptwin.live.traffic_seen import TrafficSeen, traffic_seen
from adaptwin.live.trials import Trials
from adaptwin.live.watch import Seen, Unreadable, watch
from adaptwin.live.watched_server import WatchedServer
from adaptwin.plan.fleet import Fleet
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.profile.profile import Profile
from adaptwin.progress import Progress, silent
from adaptwin.twin.compilation import compile_twin

NOT_IN_PLAN = "it is not known which server of the plan this is: give its address as NAME=URL"


def diagnose(
    addresses: Sequence[Address],
    source: Plan | tuple[Fleet, Profile] | None = None,
    *,
    seconds: float | None = None,
    readings: int | None = None,
    max_num_seqs: int | None = None,
    api_key: str | None = None,
    progress: Progress = silent,
) -> Diagnoses:
    """Read the metrics of running servers, and say what binds each; nothing is changed there.

    Args:
        addresses: Addresses of vLLM servers or of Prometheus servers, see `addresses_of`.
        source: What should run: a plan, or a fleet that these servers share evenly, with a profile. The twin then
            simulates servers in trouble as they run, and with changes that may end it.
        seconds: Time over which metrics are read, see `watch`.
        readings: Number of readings.
        max_num_seqs: The servers' max_num_seqs; None: as plan or fleet say.
        api_key: Key that the servers ask for.
        progress: Called with the current stage, the work done and the total work.

    Raises:
        SpecError: An address has a name that is none of the plan.
    """
    given = {address.url: address.name for address in addresses if address.name}
    if isinstance(source, Plan):
        require_in_plan(given.values(), source)
    if source:
        compile_twin(progress)
    seen = watch(addresses, seconds=seconds, readings=readings, api_key=api_key, progress=progress)
    watched = [each for each in seen if isinstance(each, WatchedServer)]
    if source is None or not watched:
        return Diagnoses(servers=tuple(_diagnosed(each, Expected(max_num_seqs=max_num_seqs)) for each in seen))
    known = _what_is_known(source, seen, given, max_num_seqs)
    judging = _Judging(known, watched, bool(api_key), progress)
    return Diagnoses(servers=tuple(judging.diagnosed(each) for each in seen))


class _Known(NamedTuple):
    """What is known of the servers from plan or fleet, by the name under which each was seen."""

    deployment: Deployment  # as it runs
    names: Mapping[str, str]  # in the deployment
    differences: Mapping[str, tuple[str, ...]]
    traffic: Mapping[str, TrafficSeen]

    def placed(self, seen: str) -> PlacedServer | None:
        """Return the server of the deployment that was seen under a name."""
        return self.deployment.server(self.names.get(seen))


def _what_is_known(
    source: Plan | tuple[Fleet, Profile], seen: Sequence[Seen], given: Mapping[str, str], max_num_seqs: int | None
) -> _Known:
    """Return what plan or fleet say of the servers that were seen, corrected by what these say of themselves."""
    if isinstance(source, Plan):
        deployment = deployment_of_plan(source)
        names = names_in_plan(seen, given, [server.name for server in deployment.servers])
    else:
        deployment = deployment_of_fleet(*source, [each.name for each in seen])
        names = {each.name: each.name for each in seen}
    unreadable = frozenset(names[each.name] for each in seen if isinstance(each, Unreadable) and each.name in names)
    deployment = deployment._replace(unreadable=unreadable)
    differences: dict[str, tuple[str, ...]] = {}
    traffic: dict[str, TrafficSeen] = {}
    for each in seen:
        server = deployment.server(names.get(each.name))
        if isinstance(each, WatchedServer) and server:
            server, differences[each.name] = as_seen(server, deployment.profile_of(server), each, max_num_seqs)
            deployment = deployment.with_server(server)
            traffic[each.name] = traffic_seen(each, deployment.workload.part(server.adapters))
    return _Known(deployment, names, differences, traffic)


def _diagnosed(seen: Seen, expected: Expected) -> DiagnosedServer:
    """Return the diagnosis of a server of which nothing else is known."""
    if isinstance(seen, Unreadable):
        return DiagnosedServer(name=seen.name, url=seen.url, error=seen.error)
    return DiagnosedServer(name=seen.name, url=seen.url, diagnosis=diagnosis_of(seen, expected))


class _Judging:
    """Diagnoses of servers of which plan or fleet say what should run."""

    def __init__(self, known: _Known, seen: Sequence[WatchedServer], with_key: bool, progress: Progress) -> None:
        self._known = known
        factors = {known.names[name]: traffic.factor for name, traffic in known.traffic.items()}
        self._trials = Trials(known.deployment, factors, progress)
        self._present = self._trials.present([server for each in seen if (server := known.placed(each.name))])
        self._calls = _calls(known, seen, with_key)

    def diagnosed(self, seen: Seen) -> DiagnosedServer:
        """Return the diagnosis of a server, with the advice of the twin if something binds it."""
        placed = self._known.placed(seen.name)
        if isinstance(seen, Unreadable):
            return _diagnosed(seen, Expected())
        if placed is None:
            return _diagnosed(seen, Expected()).model_copy(update={"differences": (NOT_IN_PLAN,)})
        present = self._present.get(placed.name)
        diagnosis = diagnosis_of(seen, _expected(self._known.deployment, placed, present))
        advice = None
        if diagnosis.is_trouble:
            advice = self._trials.advice(placed, present, diagnosis.binding, seen.adapters_with_requests, self._calls)
        return DiagnosedServer(
            name=seen.name,
            url=seen.url,
            planned=placed.name,
            diagnosis=diagnosis,
            traffic=self._known.traffic[seen.name],
            differences=self._known.differences[seen.name],
            advice=advice,
        )


def _expected(deployment: Deployment, server: PlacedServer, present: SimulatedServer | None) -> Expected:
    """Return what plan or fleet, and the twin, let expect of a server."""
    limits, adapters = deployment.latency_limits, deployment.workload.part(server.adapters).adapters
    itl_limits = [limits.itl_p99, *(adapter.slo_itl for adapter in adapters)]
    ttft_limits = [limits.ttft_p99, *(adapter.slo_ttft for adapter in adapters)]
    return Expected(
        max_num_seqs=server.server.budgets(deployment.profile_of(server))[1],
        itl_mean=present.itl_mean or None if present else None,
        itl_limit=min((limit for limit in itl_limits if limit), default=None),
        ttft_limit=min((limit for limit in ttft_limits if limit), default=None),
    )


def _calls(known: _Known, watched: Sequence[WatchedServer], with_key: bool) -> Calls:
    """Return what calls of the servers need, as far as it was seen or the workload says it."""
    paths = {adapter.name: adapter.artifact for adapter in known.deployment.workload.adapters if adapter.artifact}
    for each in watched:
        paths.update(each.adapter_paths)
    urls = {known.names[each.name]: each.server_url for each in watched if each.name in known.names}
    return Calls(urls, paths, with_key)
