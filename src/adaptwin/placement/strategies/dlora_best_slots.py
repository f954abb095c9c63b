"""dlora_best_slots: dLoRA's placement on servers with their best number of slots, instead of a slot for each adapter.

A slot for each adapter takes memory from the KV cache and time from every step, and can keep a server from starting.
With the best number of slots, as `pack` has it, `dlora` is compared by where it places adapters alone. Replicas are
placed as in `dlora`, which counts the memory of a slot for each of them.
"""

from adaptwin.placement.packing.problem import Assignment, Problem
from adaptwin.placement.packing.slot_rule import BEST
from adaptwin.placement.strategies.dlora import placed_in_replicas


def dlora_best_slots(problem: Problem) -> list[Assignment]:
    """Place and replicate all adapters as `dlora` does; every server gets its best number of slots."""
    return placed_in_replicas(problem, BEST)
