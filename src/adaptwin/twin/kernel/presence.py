"""What the engine reports to the metrics of the API server: which adapters run and which wait.

The reference keeps the sets of running and waiting adapters; here each set is the exclusive or of its members' 64-bit
hashes, and a combination of both is one 64-bit number in a hash table. Two combinations that hash alike would be
counted as one: for a million of them the chance is 3e-8. Invariants:

- `running` and `waiting` count requests by adapter, rejected ones excluded.
- `running_set`, `waiting_set` and the numbers of adapters in them are those of the adapters that need a slot and whose
  count is above zero.
- Without scrapes nothing of this is kept.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import borrowing, called
from adaptwin.twin.scenario import Adapters
from adaptwin.workload.drawing.random_streams import GOLDEN, split_mix

_RUNS, _WAITS = np.uint64(1), np.uint64(2)  # salts of the two sets
_NOT_ZERO = np.uint64(0x5851F42D4C957F2D)  # an empty place in the table is zero, and so is the hash of two empty sets
_PRESENCE = np.dtype(
    [
        ("running_set", np.uint64),
        ("waiting_set", np.uint64),
        ("running_adapters", np.int64),
        ("waiting_adapters", np.int64),
        ("last", np.uint64),  # combination
        ("label_sets", np.int64),  # combinations that the metrics have seen
        ("labels", np.int64),  # adapters named in them
    ]
)


class Presence(NamedTuple):
    """Which adapters run and which wait; arrays are of shape (adapters,)."""

    is_kept: bool
    needs_slot: NDArray[np.bool_]
    running: NDArray[np.int64]
    waiting: NDArray[np.int64]
    state: NDArray[np.void]  # (1,)


def empty_presence(adapters: Adapters, *, is_kept: bool) -> Presence:
    """A server without requests."""
    count = len(adapters.needs_slot)
    counts = np.zeros(count, np.int64), np.zeros(count, np.int64)
    return Presence(is_kept, adapters.needs_slot, *counts, np.zeros(1, _PRESENCE))


@called
def starts_running(presence, adapter):
    """A request of the adapter joins those that run."""
    if presence.is_kept:
        presence.running[adapter] += 1
        if presence.running[adapter] == 1 and presence.needs_slot[adapter]:
            state = presence.state[0]
            state.running_adapters += 1
            state.running_set ^= _hash(adapter, _RUNS)


@called
def stops_running(presence, adapter):
    """A request of the adapter leaves those that run."""
    if presence.is_kept:
        presence.running[adapter] -= 1
        if presence.running[adapter] == 0 and presence.needs_slot[adapter]:
            state = presence.state[0]
            state.running_adapters -= 1
            state.running_set ^= _hash(adapter, _RUNS)


@called
def starts_waiting(presence, adapter):
    """A request of the adapter joins those that wait."""
    if presence.is_kept:
        presence.waiting[adapter] += 1
        if presence.waiting[adapter] == 1 and presence.needs_slot[adapter]:
            state = presence.state[0]
            state.waiting_adapters += 1
            state.waiting_set ^= _hash(adapter, _WAITS)


@called
def stops_waiting(presence, adapter):
    """A request of the adapter leaves those that wait."""
    if presence.is_kept:
        presence.waiting[adapter] -= 1
        if presence.waiting[adapter] == 0 and presence.needs_slot[adapter]:
            state = presence.state[0]
            state.waiting_adapters -= 1
            state.waiting_set ^= _hash(adapter, _WAITS)


@called
def note(presence, combinations):
    """The metrics see which adapters run and wait now; the hash table `combinations` must not be full."""
    state = presence.state[0]
    combination = state.running_set ^ state.waiting_set ^ _NOT_ZERO
    if combination != state.last:
        state.last = combination
        if _add(combinations, combination):
            state.label_sets += 1
            state.labels += state.running_adapters + state.waiting_adapters


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
def _hash(adapter, salt):
    """Sixty-four random-looking bits of an adapter's own, for one of two sets."""
    return split_mix(np.uint64(adapter + 1) * GOLDEN + salt)


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
