"""The adapters in the batch of the compiled twin, and whether it can take another one.

Invariants:

- `in_batch` counts, by adapter, the running requests whose last token is not in flight yet. `adapters` is the number of
  adapters that need a slot and have such requests.
- In the waiting queue, the adapters in the batch and the base model are on offer.
- `residency.py` keeps where the adapters are. If every adapter has a slot, the server is not `swapping`: no request is
  passed over, no adapter is loaded, and neither offers nor residency are kept.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import called
from adaptwin.twin.kernel.residency import Residency, bring, leave_batch, warm_start
from adaptwin.twin.kernel.waiting_queue import withdraw
from adaptwin.twin.scenario import Adapters
from adaptwin.twin.server import Limits

_SLOTS_STATE = np.dtype(
    [
        ("adapters", np.int64),  # adapters in the batch
        ("woken", np.int64),  # number of adapters that the step being planned brings into the batch
    ]
)


class AdapterSlots(NamedTuple):
    """The adapters of the batch."""

    swapping: bool  # whether there are more adapters than slots
    needs_slot: NDArray[np.bool_]  # (adapters,)
    in_batch: NDArray[np.int64]  # (adapters,)
    woken: NDArray[np.int64]  # (adapters,), those that the step being planned brings into the batch come first
    residency: Residency
    state: NDArray[np.void]  # (1,)


def empty_slots(adapters: Adapters, limits: Limits) -> AdapterSlots:
    """Return the slots before the first request."""
    count = len(adapters.needs_slot)
    return AdapterSlots(
        swapping=int(adapters.needs_slot.sum()) > limits.max_loras,
        needs_slot=adapters.needs_slot,
        in_batch=np.zeros(count, np.int64),
        woken=np.empty(count, np.int64),
        residency=warm_start(adapters, limits),
        state=np.zeros(1, _SLOTS_STATE),
    )


@called
def all_taken(slots):
    """Whether the batch can take no other adapter."""
    return slots.swapping and slots.state[0].adapters == slots.residency.max_loras


@called
def needs_new_slot(slots, adapter):
    """Whether the adapter needs a slot and is not in the batch."""
    return slots.needs_slot[adapter] and slots.in_batch[adapter] == 0


@called
def join_batch(slots, adapter):
    """Add a request of the adapter to the batch."""
    if needs_new_slot(slots, adapter):
        state = slots.state[0]
        state.adapters += 1
        slots.woken[state.woken] = adapter
        state.woken += 1
    slots.in_batch[adapter] += 1


@called
def leave_slot(slots, queue, adapter, step):
    """Take a request of the adapter out of the batch after this step."""
    slots.in_batch[adapter] -= 1
    if needs_new_slot(slots, adapter):
        slots.state[0].adapters -= 1
        if slots.swapping:
            leave_batch(slots.residency, adapter, step)
            withdraw(queue, adapter)


@called
def load(slots, step):
    """Bring the step's adapters to the GPU, one after the other; return the nanoseconds that this takes."""
    woken = slots.state[0].woken
    if slots.swapping and woken > 0:
        return bring(slots.residency, step, slots.woken[:woken])
    return np.int64(0)
