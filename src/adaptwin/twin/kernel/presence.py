"""What the engine reports to the metrics of the API server: which adapters run and which wait.

The reference keeps the sets of running and waiting adapters; here each set is the exclusive or of its members' 64-bit
hashes, and a combination of both is one 64-bit number in a hash table. Two combinations that hash alike would be
counted as one: for a million of them the chance is 3e-8. Invariants:

- `requests` counts, by adapter, those that run and those that wait, rejected ones excluded.
- `sets` has, for each of the two, the adapters that need a slot and whose count is above zero.
- Without scrapes nothing of this is kept.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import borrowing, called
from adaptwin.twin.scenario import Adapters
from adaptwin.workload.drawing.random_streams import GOLDEN, split_mix

RUNNING, WAITING = 0, 1  # rows of `requests` and `sets`
_NOT_ZERO = np.uint64(0x5851F42D4C957F2D)  # an empty place in the table is zero, and so is the hash of two empty sets
_SET = np.dtype([("hashes", np.uint64), ("adapters", np.int64)])
_SEEN = np.dtype(
    [
        ("last", np.uint64),  # combination
        ("label_sets", np.int64),  # combinations that the metrics have seen
        ("labels", np.int64),  # adapters named in them
    ]
)


class Presence(NamedTuple):
    """Which adapters run and which wait."""

    is_kept: bool
    needs_slot: NDArray[np.bool_]  # (adapters,)
    requests: NDArray[np.int64]  # (2, adapters)
    sets: NDArray[np.void]  # (2,)
    seen: NDArray[np.void]  # (1,), by the metrics


def empty_presence(adapters: Adapters, *, is_kept: bool) -> Presence:
    """A server without requests."""
    requests = np.zeros((2, len(adapters.needs_slot)), np.int64)
    return Presence(is_kept, adapters.needs_slot, requests, np.zeros(2, _SET), np.zeros(1, _SEEN))


@called
def joins(presence, which, adapter):
    """A request of the adapter joins those that are `RUNNING` or `WAITING`."""
    if presence.is_kept:
        presence.requests[which, adapter] += 1
        if presence.requests[which, adapter] == 1 and presence.needs_slot[adapter]:
            members = presence.sets[which]
            members.adapters += 1
            members.hashes ^= _hash(adapter, which)


@called
def leaves(presence, which, adapter):
    """A request of the adapter leaves those that are `RUNNING` or `WAITING`."""
    if presence.is_kept:
        presence.requests[which, adapter] -= 1
        if presence.requests[which, adapter] == 0 and presence.needs_slot[adapter]:
            members = presence.sets[which]
            members.adapters -= 1
            members.hashes ^= _hash(adapter, which)


@called
def note(presence, combinations):
    """The metrics see which adapters run and wait now; the hash table `combinations` must not be full."""
    seen, running, waiting = presence.seen[0], presence.sets[RUNNING], presence.sets[WAITING]
    combination = running.hashes ^ waiting.hashes ^ _NOT_ZERO
    if combination != seen.last:
        seen.last = combination
        if _add(combinations, combination):
            seen.label_sets += 1
            seen.labels += running.adapters + waiting.adapters


def rehashed(combinations: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The combinations in a table of twice the size."""
    larger = np.zeros(2 * len(combinations), np.uint64)
    _add_all(larger, combinations)
    return larger


@borrowing
def _add_all(table, combinations):
    for combination in combinations:
        if combination != 0:
            _add(table, combination)


@called
def _hash(adapter, which):
    """Sixty-four random-looking bits of an adapter's own, for one of two sets."""
    return split_mix(np.uint64(adapter + 1) * GOLDEN + np.uint64(which + 1))


@called
def _add(table, combination):
    """Put a combination into a hash table that is not full, and whose size is a power of two; False if it was there."""
    mask = len(table) - 1
    place = np.int64(combination & np.uint64(mask))
    while table[place] != 0:
        if table[place] == combination:
            return False
        place = (place + 1) & mask
    table[place] = combination
    return True
