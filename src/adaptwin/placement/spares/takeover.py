"""guests: the adapters of servers that fail, dealt out to those that run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from adaptwin.placement.packing.items import Bin, Item, gets_on, halved, load_of
from adaptwin.placement.packing.problem import MOST_PARTS, Problem
from adaptwin.twin.server import server_rank

SPLIT_LOAD = 0.03  # best-case load above which an adapter is split rather than put on a server that is full


@dataclass(slots=True)
class Host:
    """A server, and up to where it takes others in."""

    hand: Bin  # what it serves anyway
    limit: float  # the best-case load that it bears
    rank: int  # of its slots: raised where somebody of a higher rank is taken in
    most_rank: int  # up to which it can be raised


def dealt_out(
    problem: Problem, homeless: Bin, hosts: Mapping[int, Host], caps: Callable[[int], float], reluctance: float
) -> dict[int, Bin] | None:
    """Whom the hosts take in, by their number: so that all are about as full, as a share of what they bear.

    None where somebody finds no place. No host's load exceeds its cap; one is to be fuller than another by `reluctance`
    before the other's rank is raised.
    """
    taken: dict[int, Bin] = {}
    loads = {index: load_of(host.hand) for index, host in hosts.items()}
    queue = sorted(homeless, key=lambda item: (item.rank, item.load, item.name))
    while queue:
        item = queue.pop()

        def fullness(index: int, item: Item = item) -> float:
            return (loads[index] + item.load) / hosts[index].limit

        def cost(index: int, item: Item = item) -> tuple[float, int]:
            return fullness(index, item) + reluctance * (hosts[index].rank < item.rank), index

        open_ = [
            index
            for index, host in hosts.items()
            if item.rank <= host.most_rank
            and loads[index] + item.load <= caps(index)
            and gets_on(item, [*host.hand, *taken.get(index, [])])
        ]
        best = min(open_, key=cost, default=None)
        if (best is None or fullness(best) > 1.0) and _may_be_split(item):
            queue += halved(problem, item)
            continue
        if best is None:
            return None
        taken.setdefault(best, []).append(item)
        loads[best] += item.load
        hosts[best].rank = max(hosts[best].rank, server_rank(item.rank))
    return taken


def _may_be_split(item: Item) -> bool:
    return len(item.shares) == 1 and item.load > SPLIT_LOAD and item.shares[0].share > 2.0 / MOST_PARTS
