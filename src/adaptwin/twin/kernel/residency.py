"""Which adapters lie on the GPU and in host memory, for the compiled twin: two LRU caches, touched together.

The reference touches the adapters of every step. Here recency is written down only when an adapter leaves the batch,
and for the whole batch when a step must load something; while every adapter has a slot it is not kept at all.
Invariants:

- Recency is ``step * adapters + position``: the step in which an adapter was last touched, and its turn in that step.
- The first `members` of `batch` are the adapters of the batch, by position. Between steps all of them are on the GPU,
  and were touched in the last step.
- `older` and `newer` link the other adapters on the GPU by recency, in a ring that is closed by the number
  ``len(tier)``; `idle` marks them. During a step that brings adapters in, those are marked until it is their turn.
- So the oldest adapter on the GPU is the first of the ring or the first of the batch whose turn has not come.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import compiled

GPU, HOST, DISK = 2, 1, 0
_BEING_LOADED = np.int64(1) << np.int64(62)


class Residency(NamedTuple):
    """The memory tiers of one server; of shape (adapters,) where nothing else is said."""

    tier: NDArray[np.int8]
    recency: NDArray[np.int64]
    batch: NDArray[np.int64]
    members: NDArray[np.int64]  # (1,)
    newcomer: NDArray[np.bool_]  # all false between steps
    idle: NDArray[np.bool_]
    older: NDArray[np.int64]  # (adapters + 1,)
    newer: NDArray[np.int64]  # (adapters + 1,)
    held: NDArray[np.int64]  # (3,), by tier: adapters in it or above
    loads: NDArray[np.int64]  # (3,), by the tier they went to


@compiled
def warm_start(adapters, max_loras, max_cpu_loras):
    """All adapters were loaded in their order before the first request came, so the last ones are still there."""
    count = len(adapters.needs_slot)
    residency = Residency(
        np.zeros(count, np.int8),
        np.zeros(count, np.int64),
        np.empty(count, np.int64),
        np.zeros(1, np.int64),
        np.zeros(count, np.bool_),
        np.zeros(count, np.bool_),
        np.empty(count + 1, np.int64),
        np.empty(count + 1, np.int64),
        np.zeros(3, np.int64),
        np.zeros(3, np.int64),
    )
    residency.older[count] = residency.newer[count] = count
    later = 0
    for a in range(count):
        later += adapters.needs_slot[a]
    for a in range(count):
        if adapters.needs_slot[a]:
            residency.recency[a] = -later
            if later <= max_cpu_loras:
                residency.tier[a] = HOST
                residency.held[HOST] += 1
            if later <= max_loras:
                residency.tier[a] = GPU
                residency.held[GPU] += 1
                _link(residency, a)
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
        for a in newcomers:
            _unlink(residency, a)
        return np.int64(0)
    count, members = len(residency.tier), residency.members[0]
    batch, tier, recency = residency.batch, residency.tier, residency.recency
    for a in newcomers:
        residency.newcomer[a] = True
    for i in range(members):
        if not residency.newcomer[batch[i]]:
            recency[batch[i]] = (step - 1) * count + adapters.position[batch[i]]
    time = np.int64(0)
    later = 0  # the first of the batch whose turn has not come, among those that were on the GPU before
    for i in range(members):
        a = batch[i]
        if tier[a] == DISK:
            if residency.held[HOST] == limits.max_cpu_loras:
                _leave_host(residency)
            tier[a] = HOST
            residency.held[HOST] += 1
            residency.loads[HOST] += 1
            time += adapters.disk_load[a]
            recency[a] = _BEING_LOADED  # nobody evicts it before it is touched
        if tier[a] == HOST:
            if residency.held[GPU] == limits.max_loras:
                later = max(later, i + 1)
                while later < members and (residency.newcomer[batch[later]] or tier[batch[later]] < GPU):
                    later += 1
                oldest = residency.newer[count]
                if oldest == count or (later < members and recency[batch[later]] < recency[oldest]):
                    oldest = batch[later]
                _leave_gpu(residency, oldest)
            tier[a] = GPU
            residency.held[GPU] += 1
            residency.loads[GPU] += 1
            time += adapters.gpu_load[a]
        elif residency.idle[a]:
            _unlink(residency, a)
        recency[a] = step * count + adapters.position[a]
    for a in newcomers:
        residency.newcomer[a] = False
    return time


@compiled
def leave_batch(residency, adapters, adapter, step):
    """The adapter's last request leaves the batch after this step."""
    residency.recency[adapter] = step * len(residency.tier) + adapters.position[adapter]
    _link(residency, adapter)
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
def _leave_host(residency):
    """Evict the oldest of all adapters in host memory, from the GPU too if it is there."""
    oldest, since = -1, _BEING_LOADED
    for a in range(len(residency.tier)):
        if residency.tier[a] >= HOST and residency.recency[a] < since:
            oldest, since = a, residency.recency[a]
    if residency.tier[oldest] == GPU:
        _leave_gpu(residency, oldest)
    residency.tier[oldest] = DISK
    residency.held[HOST] -= 1


@compiled
def _leave_gpu(residency, adapter):
    if residency.idle[adapter]:
        _unlink(residency, adapter)
    residency.tier[adapter] = HOST
    residency.held[GPU] -= 1


@compiled
def _link(residency, adapter):
    """Put an adapter that is on the GPU into the ring, in its place by recency, which is at the end or close to it."""
    before = residency.older[len(residency.tier)]
    while before < len(residency.tier) and residency.recency[before] > residency.recency[adapter]:
        before = residency.older[before]
    after = residency.newer[before]
    residency.older[adapter], residency.newer[adapter] = before, after
    residency.newer[before] = residency.older[after] = adapter
    residency.idle[adapter] = True


@compiled
def _unlink(residency, adapter):
    before, after = residency.older[adapter], residency.newer[adapter]
    residency.newer[before], residency.older[after] = after, before
    residency.idle[adapter] = False
