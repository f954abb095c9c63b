"""SlotRule: how a strategy sets the number of slots of a server - the best number, or one by its number of adapters."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from adaptwin.placement.capacity.capacity import Capacity
from adaptwin.placement.capacity.largest import largest_count
from adaptwin.placement.capacity.slots import best_slots, choose_slots
from adaptwin.placement.caution import MOST_LOAD

Shares = Mapping[str, float]


class SlotRule(NamedTuple):
    """Whether a server serves its adapters under the rule, and with how many slots."""

    serves: Callable[[Capacity, Shares], bool]
    slots: Callable[[Capacity, Shares], int]
    fewest_slots: Callable[[int], int]  # the fewest that the rule gives to a number of adapters


def slots_by_adapters(slots_for: Callable[[int], int]) -> SlotRule:
    """Return the rule that a server has `slots_for(n)` slots for its n LoRA adapters, of whatever ranks and traffic."""

    def slots(capacity: Capacity, shares: Shares) -> int:
        return slots_for(sum(capacity.adapter(name).rank > 0 for name in shares))

    def serves(capacity: Capacity, shares: Shares) -> bool:
        may_serve = capacity.load(shares) <= MOST_LOAD and capacity.starts(shares, slots(capacity, shares))
        return may_serve and capacity.estimate(shares, slots(capacity, shares)).ok

    return SlotRule(serves, slots, slots_for)


BEST = SlotRule(
    serves=lambda capacity, shares: choose_slots(capacity, shares) is not None,
    slots=lambda capacity, shares: best_slots(capacity, shares).max_loras,
    fewest_slots=lambda adapters: min(1, adapters),
)
SLOT_EACH = slots_by_adapters(lambda adapters: adapters)


def most_adapters_by_rank(capacity: Capacity, names: Iterable[str], rule: SlotRule = SLOT_EACH) -> dict[int, int]:
    """Return, by the rank of their slots, with how many of these adapters vLLM starts under a rule, at most all.

    Raises `Infeasible` when vLLM does not start with a single slot of some rank.
    """

    def starts(name: str, adapters: int) -> bool:
        return capacity.starts({name: 1.0}, rule.fewest_slots(adapters))

    loras = {name: capacity.slot_rank(name) for name in names if capacity.slot_rank(name)}
    most = {0: 0}
    for name, rank in loras.items():
        if rank not in most:
            capacity.require_startable(name)
            most[rank] = largest_count(len(loras), partial(starts, name))
    return most
