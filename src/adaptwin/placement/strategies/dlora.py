"""dlora: dLoRA's proactive placement, which replicates adapters as long as the worst-off adapter does not lose by it.

A server's memory is its KV cache in tokens, of which each adapter takes as much as a slot of the fleet's highest rank.
An adapter is the better off, the larger the free memory of all its servers is relative to its load. Each adapter is
first placed on the server with the fewest adapters. Then, repeatedly, the adapter whose share of all replicas lags most
behind its share of the load gets another replica: on the server with the fewest adapters among those where the replica
makes the worst-off adapter no worse off. The placement ends when there is no such server. Requests are split evenly
over replicas, and ``max_loras`` is the number of adapters on the server.

The source is the placement of the published engine (LLMServe/dLoRA-artifact, `find_best_lora_weight_schedule`), for a
given number of servers; here, the smallest number that serves all adapters is taken. Three things are simplified:
adapters are first placed in the order of their load rather than of their number; how well off adapters are is updated
rather than computed anew; and no replicas are added to bring their number to servers + adapters - 1, which is for
requests that are migrated while they run. Two things are added: replicas leave as much memory as vLLM needs to start,
and base-model traffic takes no memory.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.packing.fewest_servers import fewest_servers
from adaptwin.placement.packing.problem import Assignment, Problem, items_to_place
from adaptwin.placement.packing.slot_rule import SLOT_EACH, SlotRule
from adaptwin.twin.server import server_rank

_IDLE_RATE = 1e-12  # requests/s added to every adapter, so that no load is 0


def dlora(problem: Problem) -> list[Assignment]:
    """Place and replicate all adapters as the module describes."""
    return placed_in_replicas(problem, SLOT_EACH)


def placed_in_replicas(problem: Problem, rule: SlotRule) -> list[Assignment]:
    """Place and replicate all adapters on the fewest servers that serve them with their slots set by the rule."""
    capacity, items = problem.capacity, items_to_place(problem)
    rate = {name: capacity.rate(name) for name in capacity.names}
    names = sorted(rate, key=lambda name: (-rate[name], name))
    loads = np.array([rate[name] + _IDLE_RATE for name in names])
    is_lora = np.array([capacity.adapter(name).rank > 0 for name in names])
    memory = _memory(capacity)

    def candidate(servers: int) -> list[dict[str, float]]:
        placed = replicated(loads, is_lora, memory, servers)
        shares = 1.0 / placed.sum(axis=0)
        return [{names[a]: float(shares[a]) for a in np.flatnonzero(row)} for row in placed]

    return fewest_servers(problem, items, candidate, rule)


def _memory(capacity: Capacity) -> "Memory":
    limits, law = capacity.server({}, max_loras=0).limits(capacity.profile), capacity.profile.memory
    slot = law.slot_bytes + law.slot_bytes_per_rank * server_rank(capacity.workload.max_rank, capacity.profile)
    return Memory(limits.kv_blocks * limits.block_size, limits.max_model_len, slot / law.kv_bytes_per_token)


class Memory(NamedTuple):
    """Memory of a server, in tokens of its KV cache."""

    tokens: float  # of a server without adapters
    needed: float  # for the server to start
    slot: float  # taken by a slot of the fleet's highest rank


def replicated(
    loads: NDArray[np.float64], is_lora: NDArray[np.bool_], memory: Memory, servers: int
) -> NDArray[np.bool_]:
    """Return which server has which adapter, of shape (servers, adapters).

    `loads`, which are above 0 and falling, and `is_lora`, whether an adapter takes memory, are of shape (adapters,).
    """
    replicas = _Replicas(loads, is_lora, memory, servers)
    while True:
        adapter = replicas.most_lagging()
        server = next((server for server in replicas.fewest_first() if replicas.can_take(server, adapter)), None)
        if server is None:
            return replicas.placed
        replicas.place(server, adapter)


class _Replicas:
    """Which server has which adapter, and the free memory per load that each adapter finds as a result."""

    def __init__(self, loads: NDArray[np.float64], is_lora: NDArray[np.bool_], memory: Memory, servers: int) -> None:
        """Place each adapter in turn on the server with the fewest adapters."""
        adapters = np.arange(len(loads))
        self.loads, self.costs, self.needed = loads, memory.slot * is_lora, memory.needed
        self.placed = np.zeros((servers, len(loads)), dtype=np.bool_)
        self.placed[adapters % servers, adapters] = True
        self.of_adapter, self.on_server = self.placed.sum(axis=0), self.placed.sum(axis=1)
        self.free = memory.tokens - self.placed @ self.costs
        self.free_per_load = (self.free @ self.placed) / loads

    def most_lagging(self) -> int:
        """The adapter whose share of the replicas is farthest below its share of the load."""
        return int(np.argmin(self.of_adapter / self.of_adapter.sum() - self.loads / self.loads.sum()))

    def fewest_first(self) -> list[int]:
        """The servers by rising number of adapters."""
        return [int(server) for server in np.argsort(self.on_server, kind="stable")]

    def can_take(self, server: int, adapter: int) -> bool:
        """Whether the server lacks this replica, has the memory, and the worst-off adapter would be no worse off."""
        if self.placed[server, adapter] or self.free[server] < self.costs[adapter] + self.needed:
            return False
        there = np.flatnonzero(self.placed[server])
        then = self.free_per_load[there] - self.costs[adapter] / self.loads[there]
        return bool(then.min(initial=np.inf) >= self.free_per_load.min())

    def place(self, server: int, adapter: int) -> None:
        """Put a replica of the adapter on the server."""
        self.free[server] -= self.costs[adapter]
        self.free_per_load -= self.placed[server] * self.costs[adapter] / self.loads
        self.free_per_load[adapter] += self.free[server] / self.loads[adapter]
        self.placed[server, adapter] = True
        self.of_adapter[adapter] += 1
        self.on_server[server] += 1
