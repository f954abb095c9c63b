"""Requests of adapters by what servers and routers count: neither counts everything.

The metrics of vLLM do not name the adapter of a request, so the requests of a server are shared as planned. A router
names it, and counts the requests that were answered only: where a server has more arrivals than answers, as in
overload, so have its adapters.
"""

from collections.abc import Mapping

from adaptwin.live.metering.router_counters import Counted
from adaptwin.live.watching.ask_twin import serving_servers
from adaptwin.live.watching.observed import ObservedServer
from adaptwin.plan.plans import Plans
from adaptwin.workload.demand.mean_lengths import tokens_per_adapter

CLEARLY_MORE = 1.05  # arrivals over answers
LEAST_ANSWER_RATE = 1e-9  # requests/s


def requests_as_planned(running: Plans, servers: Mapping[str, ObservedServer], seconds: float) -> dict[str, Counted]:
    """Return the requests of adapters, if each server's are shared as planned; servers of unknown traffic as planned.

    Prompt and answer tokens are shared by the tokens that are planned.
    """
    found: dict[str, Counted] = {}
    for plan in running.plans:
        rates = dict(zip((adapter.name for adapter in plan.workload.adapters), plan.workload.rates, strict=True))
        tokens = tokens_per_adapter(plan.workload)
        for server in serving_servers(plan):
            planned = {name: share * rates[name] for name, share in server.adapters.items()}
            due = {name: share * tokens[name] for name, share in server.adapters.items()}
            measured = servers.get(server.name)
            total = sum(planned.values())
            requests = measured.requests if measured and measured.requests is not None else total
            for name in server.adapters:
                part = planned[name] / total if total > 0 else 1.0 / len(planned)
                of_tokens = due[name] / sum(due.values()) if sum(due.values()) > 0 else part
                more = Counted(
                    part * requests * seconds,
                    of_tokens * ((measured.prompt_tokens if measured else None) or 0.0) * seconds,
                    of_tokens * ((measured.answer_tokens if measured else None) or 0.0) * seconds,
                )
                found[name] = Counted(*(one + other for one, other in zip(found.get(name, _NONE), more, strict=True)))
    return found


_NONE = Counted(0.0, 0.0, 0.0)


def with_unanswered(
    requests: Mapping[str, Counted], running: Plans, servers: Mapping[str, ObservedServer]
) -> dict[str, Counted]:
    """Return answered requests of adapters, with more where servers have clearly more arrivals than answers."""
    factors: dict[str, float] = {}
    for plan in running.plans:
        for server in serving_servers(plan):
            factor = _arrivals_over_answers(servers.get(server.name))
            for name, share in server.adapters.items():
                factors[name] = factors.get(name, 0.0) + share * factor
    return {
        name: counted._replace(requests=counted.requests * max(1.0, factors.get(name, 1.0)))
        for name, counted in requests.items()
    }


def _arrivals_over_answers(server: ObservedServer | None) -> float:
    if server is None or not server.requests or not server.finished or server.finished < LEAST_ANSWER_RATE:
        return 1.0
    factor = server.requests / server.finished
    return factor if factor > CLEARLY_MORE else 1.0
