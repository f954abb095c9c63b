"""The adapters on each server of a plan, with the traffic they get there."""

from typing import NamedTuple

from adaptwin.plan.plan import Plan


class Placement(NamedTuple):
    """An adapter on one server, with the traffic it gets there."""

    server: str
    name: str
    rank: int
    share: float  # of the adapter's traffic
    rate: float  # requests/s on this server
    tokens: float  # prompt and output tokens/s on this server


def placements(plan: Plan) -> list[Placement]:
    """Return the adapters of each server, servers in the plan's order, and those with most traffic first."""
    workload = plan.workload
    means: dict[int, float] = {}  # hashing an empirical distribution for every adapter would take seconds
    for lengths in {id(of): of for of in map(workload.lengths_of, workload.adapters)}.values():
        means[id(lengths)] = lengths.mean_input + lengths.mean_output
    adapters = {adapter.name: adapter for adapter in workload.adapters}
    rates = dict(zip(adapters, workload.rates, strict=True))
    rows = []
    for server in plan.servers:
        placed = []
        for name, share in server.adapters.items():
            adapter = adapters[name]
            rate = rates[name] * share
            tokens = rate * means[id(workload.lengths_of(adapter))]
            placed.append(Placement(server.name, name, adapter.rank, share, rate, tokens))
        rows += sorted(placed, key=lambda row: -row.tokens)
    return rows
