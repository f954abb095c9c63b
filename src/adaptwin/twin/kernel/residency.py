"""The adapters on the GPU and in host memory of the compiled twin: two LRU caches that are updated together.

The reference renews the recency of a step's adapters in every step. The kernel writes recency only when an adapter
leaves the batch, and for the whole batch when a step must load an adapter. While every adapter has a slot, it keeps no
recency at all. Invariants:

- Recency is ``step * adapters + position``: the step in which an adapter was last used, and its turn in that step.
- The first `members` entries of `batch` are the adapters of the batch, by position. Between steps all of them are on
  the GPU and were used in the last step.
- `older` and `newer` link the other adapters on the GPU by recency, as a ring that is closed by the last row of
  `place`; `idle` marks them. Adapters that join the batch in a step stay in the ring until it is their turn.
- So the least recently used adapter on the GPU is the first of the ring, or the first of the batch whose turn has not
  come.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import called
from adaptwin.twin.scenario import Adapters
from adaptwin.twin.server import Limits

_GPU, _HOST, _DISK = 2, 1, 0
_BEING_LOADED = np.int64(1) << np.int64(62)  # in place of a recency: above every other
_PLACE = np.dtype(
    [
        ("tier", np.int64),
        ("recency", np.int64),
        ("older", np.int64),
        ("newer", np.int64),
        ("position", np.int64),
        ("gpu_load", np.int64),
        ("disk_load", np.int64),
        ("idle", np.bool_),
        ("newcomer", np.bool_),  # False between steps
    ],
    align=True,
)
_RESIDENCY_STATE = np.dtype(
    [
        ("members", np.int64),
        ("on_gpu", np.int64),
        ("in_host", np.int64),  # adapters in host memory, including those that are on the GPU too
        ("gpu_loads", np.int64),
        ("disk_loads", np.int64),
    ]
)


class Residency(NamedTuple):
    """The adapters in the memory tiers of one server."""

    max_loras: int
    max_cpu_loras: int
    place: NDArray[np.void]  # (adapters + 1,), where each adapter lies; the last row closes the ring
    batch: NDArray[np.int64]  # (adapters,), of which the first `members` are in use
    state: NDArray[np.void]  # (1,)


def warm_start(adapters: Adapters, limits: Limits) -> Residency:
    """Return the residency after start-up, which loads all adapters in order, so that the last ones are there."""
    count, loras = len(adapters.needs_slot), np.flatnonzero(adapters.needs_slot)
    on_gpu, in_host = (loras[max(0, len(loras) - room) :] for room in (limits.max_loras, limits.max_cpu_loras))
    place, state = np.zeros(count + 1, _PLACE), np.zeros(1, _RESIDENCY_STATE)
    for field in ("position", "gpu_load", "disk_load"):
        place[field][:count] = getattr(adapters, field)
    place["recency"][loras] = -np.arange(len(loras), 0, -1)
    place["tier"][in_host], state["in_host"] = _HOST, len(in_host)
    place["tier"][on_gpu], state["on_gpu"] = _GPU, len(on_gpu)
    place["idle"][on_gpu] = True
    ring = np.concatenate(([count], on_gpu, [count]))
    place["older"][ring[1:]], place["newer"][ring[:-1]] = ring[:-1], ring[1:]
    return Residency(limits.max_loras, limits.max_cpu_loras, place, np.empty(count, np.int64), state)


@called
def bring(residency, step, newcomers):
    """Add the newcomers of a step to the batch, and bring all adapters of the batch to the GPU, one after the other.

    Returns the nanoseconds that this takes.
    """
    place, missing = residency.place, False
    for a in newcomers:
        _join_batch(residency, a)
        missing |= place[a].tier < _GPU
    if not missing:
        for a in newcomers:
            _unlink(place, a)
        return np.int64(0)
    for a in newcomers:
        place[a].newcomer = True
    time = _visit(residency, step)
    for a in newcomers:
        place[a].newcomer = False
    return time


@called
def _visit(residency, step):
    """Load the adapters of the batch that are not on the GPU, by position; return the nanoseconds that this takes."""
    place, batch, count, members = residency.place, residency.batch, len(residency.batch), residency.state[0].members
    for i in range(members):
        member = place[batch[i]]
        if not member.newcomer:
            member.recency = (step - 1) * count + member.position
    time = np.int64(0)
    later = 0  # index in the batch of the next member that is on the GPU and not a newcomer
    for i in range(members):
        a = batch[i]
        adapter = place[a]
        if adapter.tier == _DISK:
            time += _load_to_host(residency, adapter)
        if adapter.tier == _HOST:
            later = _next_member_on_gpu(residency, max(later, i + 1))
            time += _load_to_gpu(residency, adapter, later)
        elif adapter.idle:
            _unlink(place, a)
        adapter.recency = step * count + adapter.position
    return time


@called
def _next_member_on_gpu(residency, i):
    """Return the number of the next member of the batch, from `i` on, that is on the GPU and not a newcomer."""
    place, batch, members = residency.place, residency.batch, residency.state[0].members
    while i < members and (place[batch[i]].newcomer or place[batch[i]].tier < _GPU):
        i += 1
    return i


@called
def _load_to_host(residency, adapter):
    state = residency.state[0]
    if state.in_host == residency.max_cpu_loras:
        _leave_host(residency)
    adapter.tier = _HOST
    adapter.recency = _BEING_LOADED  # so that it is not evicted before it is used
    state.in_host += 1
    state.disk_loads += 1
    return adapter.disk_load


@called
def _load_to_gpu(residency, adapter, later):
    state, place, batch = residency.state[0], residency.place, residency.batch
    if state.on_gpu == residency.max_loras:
        oldest = place[len(batch)].newer
        if oldest == len(batch) or (later < state.members and place[batch[later]].recency < place[oldest].recency):
            oldest = batch[later]
        _leave_gpu(residency, oldest)
    adapter.tier = _GPU
    state.on_gpu += 1
    state.gpu_loads += 1
    return adapter.gpu_load


@called
def leave_batch(residency, adapter, step):
    """Take an adapter out of the batch: its last request leaves after this step."""
    place, batch, state, i = residency.place, residency.batch, residency.state[0], 0
    place[adapter].recency = step * len(batch) + place[adapter].position
    _link_idle(place, adapter)
    while batch[i] != adapter:
        i += 1
    state.members -= 1
    for j in range(i, state.members):
        batch[j] = batch[j + 1]


@called
def _join_batch(residency, adapter):
    place, batch, i = residency.place, residency.batch, residency.state[0].members
    residency.state[0].members += 1
    while i > 0 and place[batch[i - 1]].position > place[adapter].position:
        batch[i] = batch[i - 1]
        i -= 1
    batch[i] = adapter


@called
def _leave_host(residency):
    """Evict the least recently used adapter from host memory and, if it is there, from the GPU."""
    place, oldest, since = residency.place, -1, _BEING_LOADED
    for a in range(len(residency.batch)):
        if place[a].tier >= _HOST and place[a].recency < since:
            oldest, since = a, place[a].recency
    if place[oldest].tier == _GPU:
        _leave_gpu(residency, oldest)
    place[oldest].tier = _DISK
    residency.state[0].in_host -= 1


@called
def _leave_gpu(residency, adapter):
    if residency.place[adapter].idle:
        _unlink(residency.place, adapter)
    residency.place[adapter].tier = _HOST
    residency.state[0].on_gpu -= 1


@called
def _link_idle(place, adapter):
    """Insert an adapter that is on the GPU into the ring by recency; its place is at the end or close to it."""
    end, its = len(place) - 1, place[adapter]
    before = place[end].older
    while before != end and place[before].recency > its.recency:
        before = place[before].older
    after = place[before].newer
    its.older, its.newer, its.idle = before, after, True
    place[before].newer = place[after].older = adapter


@called
def _unlink(place, adapter):
    its = place[adapter]
    place[its.older].newer, place[its.newer].older = its.newer, its.older
    its.idle = False
