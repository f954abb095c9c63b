"""Which adapters lie on the GPU and in host memory, for the compiled twin: two LRU caches, touched together.

The reference touches the adapters of every step. Here recency is written down only when an adapter leaves the batch,
and for the whole batch when a step must load something; while every adapter has a slot it is not kept at all.
Invariants:

- Recency is ``step * adapters + position``: the step in which an adapter was last touched, and its turn in that step.
- The first `members` of `batch` are the adapters of the batch, by position; all but those that the step brings in were
  touched last in the step before.
- `listed` has the `held` adapters of each tier or above in no order; what is on the GPU is in host memory too.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import compiled

GPU, HOST, DISK = 2, 1, 0
_BEING_LOADED = np.int64(1) << np.int64(62)


class Residency(NamedTuple):
    """The memory tiers of one server."""

    tier: NDArray[np.int8]  # by adapter
    recency: NDArray[np.int64]  # by adapter
    batch: NDArray[np.int32]
    members: NDArray[np.int64]  # of shape (1,)
    newcomer: NDArray[np.bool_]  # by adapter; all false between steps
    listed: NDArray[np.int32]  # (3, adapters), by tier
    held: NDArray[np.int64]  # by tier
    loads: NDArray[np.int64]  # by tier they went to


"""How often each tier was loaded."""


@compiled
def warm_start(adapters, max_loras, max_cpu_loras):
    """All adapters were loaded in their order before the first request came, so the last ones are still there."""
    count = len(adapters.needs_slot)
    residency = Residency(
        np.zeros(count, np.int8),
        np.zeros(count, np.int64),
        np.empty(count, np.int32),
        np.zeros(1, np.int64),
        np.zeros(count, np.bool_),
        np.empty((3, count), np.int32),
        np.zeros(3, np.int64),
        np.zeros(3, np.int64),
    )
    later = adapters.needs_slot.sum()
    for a in range(count):
        if adapters.needs_slot[a]:
            residency.recency[a] = -later
            if later <= max_cpu_loras:
                _enter(residency, a, HOST)
            if later <= max_loras:
                _enter(residency, a, GPU)
            later -= 1
    return residency


@compiled
def bring(residency, adapters, limits, step, newcomers):
    """Take the step's newcomers into the batch, and bring all its adapters to the GPU, one after the other.

    Returns the nanoseconds it takes.
    """
    missing = False
    for a in newcomers:
        _join_batch(residency, adapters.position, a)
        missing |= residency.tier[a] < GPU
    if not missing:
        return np.int64(0)
    count = len(residency.tier)
    for a in newcomers:
        residency.newcomer[a] = True
    batch = residency.batch[: residency.members[0]]
    for a in batch:
        if not residency.newcomer[a]:
            residency.recency[a] = (step - 1) * count + adapters.position[a]
    time = np.int64(0)
    for a in batch:
        if residency.tier[a] == DISK:
            if residency.held[HOST] == limits.max_cpu_loras:
                oldest = _oldest(residency, HOST)
                if residency.tier[oldest] == GPU:
                    _leave(residency, oldest, GPU)
                _leave(residency, oldest, HOST)
            _enter(residency, a, HOST)
            residency.loads[HOST] += 1
            time += adapters.disk_load[a]
            residency.recency[a] = _BEING_LOADED  # nobody evicts it before it is touched
        if residency.tier[a] == HOST:
            if residency.held[GPU] == limits.max_loras:
                _leave(residency, _oldest(residency, GPU), GPU)
            _enter(residency, a, GPU)
            residency.loads[GPU] += 1
            time += adapters.gpu_load[a]
        residency.recency[a] = step * count + adapters.position[a]
    for a in newcomers:
        residency.newcomer[a] = False
    return time


@compiled
def leave_batch(residency, adapters, adapter, step):
    """The adapter's last request leaves the batch after this step."""
    residency.recency[adapter] = step * len(residency.tier) + adapters.position[adapter]
    batch, i = residency.batch, 0
    while batch[i] != adapter:
        i += 1
    residency.members[0] -= 1
    for j in range(i, residency.members[0]):
        batch[j] = batch[j + 1]


@compiled
def _join_batch(residency, position, adapter):
    batch, i = residency.batch, residency.members[0]
    residency.members[0] += 1
    while i > 0 and position[batch[i - 1]] > position[adapter]:
        batch[i] = batch[i - 1]
        i -= 1
    batch[i] = adapter


@compiled
def _oldest(residency, tier):
    """The least recently used adapter of a tier or above."""
    oldest = residency.listed[tier, 0]
    for i in range(1, residency.held[tier]):
        a = residency.listed[tier, i]
        if residency.recency[a] < residency.recency[oldest]:
            oldest = a
    return oldest


@compiled
def _enter(residency, adapter, tier):
    residency.listed[tier, residency.held[tier]] = adapter
    residency.held[tier] += 1
    residency.tier[adapter] = tier


@compiled
def _leave(residency, adapter, tier):
    i = 0
    while residency.listed[tier, i] != adapter:
        i += 1
    residency.held[tier] -= 1
    residency.listed[tier, i] = residency.listed[tier, residency.held[tier]]
    residency.tier[adapter] = tier - 1
