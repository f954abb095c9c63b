"""The adapters on each server of a plan, with the traffic they get there."""

from typing import TYPE_CHECKING, NamedTuple

from adaptwin.workload.demand.mean_lengths import tokens_per_adapter

if TYPE_CHECKING:
    from adaptwin.plan.plan import Plan


class Placement(NamedTuple):
    """An adapter on one server, with the traffic it gets there."""

    server: str
    name: str
    rank: int
    share: float  # of the adapter's traffic
    rate: float  # requests/s on this server
    tokens: float  # prompt and output tokens/s on this server


def placements(plan: "Plan") -> list[Placement]:
    """Return the adapters of each server, servers in the plan's order, and those with most traffic first."""
    workload = plan.workload
    adapters = {adapter.name: adapter for adapter in workload.adapters}
    rates, tokens = dict(zip(adapters, workload.rates, strict=True)), tokens_per_adapter(workload)
    rows = []
    for server in plan.servers:
        placed = []
        for name, share in server.adapters.items():
            rank = adapters[name].rank
            placed.append(Placement(server.name, name, rank, share, rates[name] * share, tokens[name] * share))
        rows += sorted(placed, key=lambda row: -row.tokens)
    return rows
