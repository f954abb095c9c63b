"""loraserve_best_slots: LoRAServe's placement on servers with their best number of slots, not one for each adapter.

A slot for each adapter takes memory from the KV cache and time from every step, and a server is full where another slot
would not start. With the best number of slots, as `pack` has it, `loraserve` is compared by where it places adapters
alone. Operating points, targets and budgets are those of `loraserve`.
"""

from adaptwin.placement.packing.problem import Assignment, Problem
from adaptwin.placement.packing.slot_rule import BEST
from adaptwin.placement.strategies.loraserve import placed_by_rank


def loraserve_best_slots(problem: Problem) -> list[Assignment]:
    """Place all adapters as `loraserve` does; every server gets its best number of slots."""
    return placed_by_rank(problem, BEST)
