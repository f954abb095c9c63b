"""SlotRule: how a strategy sets the number of slots of a server - the best number, or one for each adapter."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.largest import largest_count
from adaptwin.placement.capacity.slots import best_slots, choose_slots
from adaptwin.placement.caution import MOST_LOAD

Shares = Mapping[str, float]


class SlotRule(NamedTuple):
    """Whether a server serves its adapters under the rule, and its number of slots."""

    serves: Callable[[Capacity, Shares], bool]
    slots: Callable[[Capacity, Shares], int]


def slot_each(capacity: Capacity, shares: Shares) -> int:
    """Number of slots if each LoRA adapter gets its own."""
    return sum(capacity.adapter(name).rank > 0 for name in shares)


def most_slots_by_rank(capacity: Capacity, names: Iterable[str]) -> dict[int, int]:
    """Return, by slot rank of these adapters, the most slots with which vLLM starts, up to a slot for each adapter.

    Raises `Infeasible` when vLLM does not start with a single slot of some rank.
    """
    loras = {name: capacity.slot_rank(name) for name in names if capacity.slot_rank(name)}
    most = {0: 0}
    for name, rank in loras.items():
        if rank not in most:
            capacity.require_startable(name)
            most[rank] = largest_count(len(loras), partial(capacity.starts, {name: 1.0}))
    return most


def _serves_with_slot_each(capacity: Capacity, shares: Shares) -> bool:
    slots = slot_each(capacity, shares)
    may_serve = capacity.load(shares) <= MOST_LOAD and capacity.starts(shares, slots)
    return may_serve and capacity.estimate(shares, slots).ok


BEST = SlotRule(
    serves=lambda capacity, shares: choose_slots(capacity, shares) is not None,
    slots=lambda capacity, shares: best_slots(capacity, shares).max_loras,
)
SLOT_EACH = SlotRule(serves=_serves_with_slot_each, slots=slot_each)
