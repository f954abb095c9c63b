"""loraserve_third: LoRAServe's placement on servers with a slot for every three adapters.

This is LoRAServe* of arXiv 2602.24044, which compares with it: ``max_loras`` is a third of the number of adapters on
the server, rounded, and at least one. Everything else is as in `loraserve`.
"""

from adaptwin.placement.packing.problem import Assignment, Problem
from adaptwin.placement.packing.slot_rule import slots_by_adapters
from adaptwin.placement.strategies.loraserve import placed_by_rank


def loraserve_third(problem: Problem) -> list[Assignment]:
    """Place all adapters as `loraserve` does; every server gets a third as many slots as it has adapters."""
    return placed_by_rank(problem, slots_by_adapters(third))


def third(adapters: int) -> int:
    """Return a third of a number of adapters, rounded, and at least one; none for servers without LoRA adapters."""
    return max(1, round(adapters / 3)) if adapters else 0
