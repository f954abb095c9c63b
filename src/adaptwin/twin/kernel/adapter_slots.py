"""Which adapters the batch of the compiled twin holds, and which it may still take.

Invariants:

- `in_batch` counts by adapter the requests that run and still have a token to make; `adapters` is the number of
  adapters that need a slot and have such requests.
- In the waiting queue, the adapters in the batch and the base model are on offer.
- Where adapters lie is kept in `residency.py`. While every adapter has a slot, no request is passed over and nothing is
  ever loaded: then the server is not `swapping`, and neither offers nor residency are kept.
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
        ("adapters", np.int64),  # in the batch
        ("woken", np.int64),  # adapters that the step being planned brings into the batch
    ]
)


class AdapterSlots(NamedTuple):
    """The adapters of the batch."""

    swapping: bool
    needs_slot: NDArray[np.bool_]  # (adapters,)
    in_batch: NDArray[np.int64]  # (adapters,)
    woken: NDArray[np.int64]  # (adapters,)
    residency: Residency
    state: NDArray[np.void]  # (1,)


def empty_slots(adapters: Adapters, limits: Limits) -> AdapterSlots:
    """The slots before the first request."""
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
    """Whether the batch can take no further adapter."""
    return slots.swapping and slots.state[0].adapters == slots.residency.max_loras


@called
def needs_new_slot(slots, adapter):
    """Whether a request of the adapter would bring it into the batch."""
    return slots.needs_slot[adapter] and slots.in_batch[adapter] == 0


@called
def join_batch(slots, adapter):
    """A request of the adapter joins the batch."""
    if needs_new_slot(slots, adapter):
        state = slots.state[0]
        state.adapters += 1
        slots.woken[state.woken] = adapter
        state.woken += 1
    slots.in_batch[adapter] += 1


@called
def leave_slot(slots, queue, adapter, step):
    """A request of the adapter leaves the batch after this step."""
    slots.in_batch[adapter] -= 1
    if needs_new_slot(slots, adapter):
        slots.state[0].adapters -= 1
        if slots.swapping:
            leave_batch(slots.residency, adapter, step)
            withdraw(queue, adapter)


@called
def load(slots, step):
    """Bring the step's adapters to the GPU, one after the other; returns the nanoseconds it takes."""
    woken = slots.state[0].woken
    if slots.swapping and woken > 0:
        return bring(slots.residency, step, slots.woken[:woken])
    return np.int64(0)
