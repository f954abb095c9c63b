"""The adapters that run and those that wait, as the engine reports them to the metrics of the API server.

The reference keeps a set of running and a set of waiting adapters. Here each set is the exclusive or of the 64-bit
hashes of its members, and a combination of the two is one 64-bit number in a hash table. Two combinations with equal
numbers would be counted as one; among a million combinations, the probability of that is 3e-8. Invariants:

- `requests` counts, by adapter, the running and the waiting requests, without rejected ones.
- `sets` describes the two sets: the adapters that need a slot and of which a request runs, or waits.
- Without scrapes none of this is kept.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import borrowing, called
from adaptwin.twin.scenario import Adapters
from adaptwin.workload.drawing.random_streams import GOLDEN, split_mix

RUNNING, WAITING = 0, 1  # rows of `requests` and `sets`
_NOT_ZERO = np.uint64(0x5851F42D4C957F2D)  # keeps combinations from zero, which is the mark of an empty table entry
_SET = np.dtype([("hashes", np.uint64), ("adapters", np.int64)])
_SEEN = np.dtype(
    [
        ("last", np.uint64),  # the latest combination
        ("label_sets", np.int64),  # distinct combinations so far
        ("labels", np.int64),  # adapters named in all of them
    ]
)


class Presence(NamedTuple):
    """The adapters that run and those that wait."""

    is_kept: bool
    needs_slot: NDArray[np.bool_]  # (adapters,)
    requests: NDArray[np.int64]  # (2, adapters)
    sets: NDArray[np.void]  # (2,)
    seen: NDArray[np.void]  # (1,), what the metrics have seen


def empty_presence(adapters: Adapters, *, is_kept: bool) -> Presence:
    """Return the state of a server without requests."""
    requests = np.zeros((2, len(adapters.needs_slot)), np.int64)
    return Presence(is_kept, adapters.needs_slot, requests, np.zeros(2, _SET), np.zeros(1, _SEEN))


@called
def joins(presence, which, adapter):
    """Count a request of the adapter in: `which` says whether it is `RUNNING` or `WAITING` from now on."""
    if presence.is_kept:
        presence.requests[which, adapter] += 1
        if presence.requests[which, adapter] == 1 and presence.needs_slot[adapter]:
            members = presence.sets[which]
            members.adapters += 1
            members.hashes ^= _hash(adapter, which)


@called
def leaves(presence, which, adapter):
    """Count a request of the adapter out: `which` says whether it was `RUNNING` or `WAITING` until now."""
    if presence.is_kept:
        presence.requests[which, adapter] -= 1
        if presence.requests[which, adapter] == 0 and presence.needs_slot[adapter]:
            members = presence.sets[which]
            members.adapters -= 1
            members.hashes ^= _hash(adapter, which)


@called
def note(presence, combinations):
    """Report the present combination to the metrics; the hash table `combinations` must not be full."""
    seen, running, waiting = presence.seen[0], presence.sets[RUNNING], presence.sets[WAITING]
    combination = running.hashes ^ waiting.hashes ^ _NOT_ZERO
    if combination != seen.last:
        seen.last = combination
        if _add(combinations, combination):
            seen.label_sets += 1
            seen.labels += running.adapters + waiting.adapters


def rehashed(combinations: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the combinations in a hash table of twice the size."""
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
    """Hash an adapter of one of the two sets to 64 pseudo-random bits."""
    return split_mix(np.uint64(adapter + 1) * GOLDEN + np.uint64(which + 1))


@called
def _add(table, combination):
    """Add a combination to a hash table and return whether it is new.

    The table must not be full, and its size must be a power of two.
    """
    mask = len(table) - 1
    place = np.int64(combination & np.uint64(mask))
    while table[place] != 0:
        if table[place] == combination:
            return False
        place = (place + 1) & mask
    table[place] = combination
    return True
