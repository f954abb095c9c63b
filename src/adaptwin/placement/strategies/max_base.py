"""max_base: fill servers in the order of the workload, up to the token rate at which the base model peaks.

The paper's code calls it MaxBackbone (arXiv 2602.24044, development only). A server is full when the tokens/s of its
adapters come to what a full batch of base-model requests of these lengths serves. ``max_loras`` is the number of its
adapters. Neither the twin nor the surrogate checks whether the server serves them. Adapters cost additional time and
memory, so they may be starved, which only the verification finds. Two things are added to the original: a server is
also full when one more slot would not start (the original runs out of memory there), and an adapter that is too hot for
one server is split into equal parts.
"""

from dataclasses import dataclass, field

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.server_demand import AdapterPart
from adaptwin.placement.packing.peak_rate import peak_rate
from adaptwin.placement.packing.problem import Assignment, Problem, items_to_place, shares_of_parts
from adaptwin.placement.packing.slot_rule import SLOT_EACH, most_adapters_by_rank


@dataclass(slots=True)
class _Filling:
    """A server that is being filled."""

    items: list[AdapterPart] = field(default_factory=list)
    tokens: float = 0.0
    loras: int = 0
    rank: int = 0

    def add(self, item: AdapterPart, tokens: float, rank: int) -> None:
        self.items.append(item)
        self.tokens += tokens
        self.loras += rank > 0
        self.rank = max(self.rank, rank)


def max_base(problem: Problem) -> list[Assignment]:
    """Place all adapters up to the peak rate, as the module describes."""
    capacity, items = problem.capacity, items_to_place(problem)
    bins = [shares_of_parts(contents) for contents in filled_to(peak_rate(capacity, rank=0), capacity, items)]
    return [Assignment(capacity.server(contents, SLOT_EACH.slots(capacity, contents)), contents) for contents in bins]


def filled_to(peak: float, capacity: Capacity, items: list[AdapterPart]) -> list[list[AdapterPart]]:
    """Place items, in their order, on servers of at most `peak` tokens/s; an item above `peak` is alone."""
    most = most_adapters_by_rank(capacity, [item.name for item in items])
    servers = [_Filling()]
    for item in items:
        adapter = capacity.adapter(item.name)
        tokens = capacity.tokens(item.name) * item.share * capacity.factor
        server = servers[-1]
        starts = server.loras + (adapter.rank > 0) <= most[max(server.rank, capacity.slot_rank(item.name))]
        if server.items and not (starts and server.tokens + tokens <= peak):
            servers.append(_Filling())
        servers[-1].add(item, tokens, capacity.slot_rank(item.name))
    return [server.items for server in servers]
