"""loraserve_third: LoRAServe's placement on servers with a slot for every three adapters.

This is LoRAServe* of arXiv 2602.24044, which compares with it: ``max_loras`` is a third of the number of adapters on
the server, rounded, and at least one. The paper sets it without asking whether it suffices. So does this strategy: it
takes the smallest number of servers that serves all adapters with the best number of slots, and starts with a third of
the slots. These may be too few, because an adapter that always has a request keeps its slot. Only the verification
finds that.
"""

from collections.abc import Mapping

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.packing.problem import Assignment, Problem
from adaptwin.placement.packing.slot_rule import BEST, slots_by_adapters
from adaptwin.placement.strategies.loraserve import placed_by_rank


def loraserve_third(problem: Problem) -> list[Assignment]:
    """Place all adapters as `loraserve` does; every server gets a third as many slots as it has adapters."""
    return placed_by_rank(problem, A_THIRD._replace(serves=_starts_and_may_serve))


def third(adapters: int) -> int:
    """Return a third of a number of adapters, rounded, and at least one; none for servers without LoRA adapters."""
    return max(1, round(adapters / 3)) if adapters else 0


A_THIRD = slots_by_adapters(third)


def _starts_and_may_serve(capacity: Capacity, shares: Mapping[str, float]) -> bool:
    return capacity.starts(shares, A_THIRD.slots(capacity, shares)) and BEST.serves(capacity, shares)
