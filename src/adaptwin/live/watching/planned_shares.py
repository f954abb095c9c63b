"""Requests of adapters by what servers and routers count: neither counts everything.

The metrics of vLLM do not name the adapter of a request, so the requests of a server are shared as planned. A router
names it, and counts the requests that were answered only. What arrived at a server and was not answered, as in
overload, is shared among its adapters; it is less than nothing where a server answers what had waited before.

Tokens are counted of requests that are answered. They grow with the requests, so that mean lengths stay those of
answered requests: otherwise an overloaded server would seem to get shorter requests, and no more work than it does.
"""

from collections.abc import Iterable, Mapping

from adaptwin.live.metering.router_counters import Counted
from adaptwin.live.watching.observed import ObservedServer
from adaptwin.plan.plan import PlacedServer, Plan
from adaptwin.plan.plans import Plans

_NONE = Counted(0.0, 0.0, 0.0)


def requests_as_planned(running: Plans, servers: Mapping[str, ObservedServer], seconds: float) -> dict[str, Counted]:
    """Return the requests of adapters, if each server's are shared as planned; servers of unknown traffic as planned.

    Prompt tokens and answer tokens are shared by those that are planned, each.
    """
    found: dict[str, Counted] = {}
    for plan in running.plans:
        planned = planned_counts(plan, seconds)
        for server in plan.serving:
            due = {name: _scaled_counts(planned[name], share) for name, share in server.adapters.items()}
            total = _sum_of_counts(due.values())
            arrived = _arrived(servers.get(server.name), total, seconds)
            for name, each in due.items():
                found[name] = _sum_of_counts([found.get(name, _NONE), _part_of(arrived, each, total, 1.0 / len(due))])
    return found


def planned_counts(plan: Plan, seconds: float) -> dict[str, Counted]:
    """Return the requests and tokens of the adapters of a plan that are planned for some time."""
    workload, found = plan.workload, {}
    for adapter, rate in zip(workload.adapters, workload.rates, strict=True):
        lengths, number = workload.lengths_of(adapter), rate * seconds
        found[adapter.name] = Counted(number, number * lengths.mean_input, number * lengths.mean_output)
    return found


def _arrived(measured: ObservedServer | None, planned: Counted, seconds: float) -> Counted:
    """Return what arrived at a server; where its answers are not known, requests have the lengths that are planned."""
    if measured is None or measured.requests is None:
        return planned
    requests = measured.requests * seconds
    if not measured.finished or measured.prompt_tokens is None or measured.answer_tokens is None:
        return (
            _scaled_counts(planned, requests / planned.requests)
            if planned.requests > 0
            else Counted(requests, 0.0, 0.0)
        )
    over_answers = requests / measured.finished
    return Counted(requests, measured.prompt_tokens * over_answers, measured.answer_tokens * over_answers)


def _part_of(whole: Counted, due: Counted, total: Counted, otherwise: float) -> Counted:
    """Return the part of an adapter, by what is planned for it."""
    of_requests = due.requests / total.requests if total.requests > 0 else otherwise
    of_tokens = ((one / every if every > 0 else of_requests) for one, every in zip(due[1:], total[1:], strict=True))
    return Counted(*(part * value for part, value in zip((of_requests, *of_tokens), whole, strict=True)))


def with_unanswered(
    answered: Mapping[str, Counted], running: Plans, servers: Mapping[str, ObservedServer], seconds: float
) -> dict[str, Counted]:
    """Return answered requests of adapters, with those that arrived at their servers and were not answered.

    These are shared by the answers of the adapters, and as planned on a server without any.
    """
    found = dict(answered)
    for plan in running.plans:
        planned = planned_counts(plan, seconds)
        more: dict[str, float] = {}
        for server in plan.serving:
            unanswered = _unanswered(servers.get(server.name), seconds)
            for name, share in _shares_of(server, answered, planned).items():
                more[name] = more.get(name, 0.0) + unanswered * share
        for name, number in more.items():
            if number:
                found[name] = _grown(answered.get(name, _NONE), number, planned[name])
    return found


def _unanswered(server: ObservedServer | None, seconds: float) -> float:
    """Return how many more requests arrived at a server than it answered; 0 if that is not known."""
    if server is None or server.requests is None or server.finished is None:
        return 0.0
    return (server.requests - server.finished) * seconds


def _shares_of(
    server: PlacedServer, answered: Mapping[str, Counted], planned: Mapping[str, Counted]
) -> dict[str, float]:
    """Return the share of each adapter in the answers of a server, or else in what is planned for it."""
    for counts in (answered, planned):
        weights = {name: share * counts.get(name, _NONE).requests for name, share in server.adapters.items()}
        if (total := sum(weights.values())) > 0:
            return {name: weight / total for name, weight in weights.items()}
    return {name: 1.0 / len(server.adapters) for name in server.adapters}


def _grown(answered: Counted, more: float, planned: Counted) -> Counted:
    """Return more requests, of the mean lengths of those that were answered, or else of those that are planned."""
    requests = max(0.0, answered.requests + more)
    for each in (answered, planned):
        if each.requests > 0:
            return _scaled_counts(each, requests / each.requests)
    return Counted(requests, 0.0, 0.0)


def _scaled_counts(counted: Counted, factor: float) -> Counted:
    return Counted(*(factor * value for value in counted))


def _sum_of_counts(every: Iterable[Counted]) -> Counted:
    return Counted(*(sum(values) for values in zip(_NONE, *every, strict=True)))
