"""The waiting queue of the compiled twin, as far as the scheduler has looked into it.

Only requests that were passed over for want of a slot, or preempted, are in here; those behind them, which nobody has
looked at yet, are simply the next request numbers. Invariants:

- `before` and `after` link the requests in queue order, in a ring that is closed by the number ``len(of_adapter)``.
- `head` and `of_adapter` are one FIFO per adapter, in the same order.
- `position` orders requests: a request's number, which is in order of arrival, or for one that was preempted a
  negative number, the smaller the later it was preempted, because it goes to the front.
- `tree` is a min-tree over adapters. The leaf of an adapter on offer, whose requests may be admitted even when all
  slots are taken, is the position of its first request here with the adapter's number behind it; all others are
  `NOBODY`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import compiled

NOBODY = np.int64(1) << np.int64(62)


class WaitingQueue(NamedTuple):
    """Requests that were passed over or preempted; none is -1."""

    before: NDArray[np.int32]
    after: NDArray[np.int32]
    head: NDArray[np.int32]
    tail: NDArray[np.int32]
    of_adapter: NDArray[np.int32]
    position: NDArray[np.int32]
    tree: NDArray[np.int64]


@compiled
def empty_queue(requests, adapters):
    """A queue with nobody in it."""
    size = 1
    while size < adapters:
        size *= 2
    before, after = np.empty(requests + 1, np.int32), np.empty(requests + 1, np.int32)
    before[requests] = after[requests] = requests
    head, tail, tree = np.empty(adapters, np.int32), np.empty(adapters, np.int32), np.empty(2 * size, np.int64)
    for a in range(adapters):
        head[a] = tail[a] = -1
    for node in range(2 * size):
        tree[node] = NOBODY
    of_adapter, position = np.empty(requests, np.int32), np.empty(requests, np.int32)
    return WaitingQueue(before, after, head, tail, of_adapter, position, tree)


@compiled
def append(queue, request, adapter):
    """Put a request that was passed over at the back."""
    end = len(queue.of_adapter)
    _link(queue, queue.before[end], request, end)
    queue.position[request] = request
    queue.of_adapter[request] = -1
    if queue.head[adapter] < 0:
        queue.head[adapter] = request
    else:
        queue.of_adapter[queue.tail[adapter]] = request
    queue.tail[adapter] = request


@compiled
def prepend(queue, request, adapter, position):
    """Put a preempted request at the front; `position` is below all others."""
    end = len(queue.of_adapter)
    _link(queue, end, request, queue.after[end])
    queue.position[request] = position
    queue.of_adapter[request] = queue.head[adapter]
    if queue.head[adapter] < 0:
        queue.tail[adapter] = request
    queue.head[adapter] = request


@compiled
def _link(queue, before, request, after):
    """Put a request into the ring between two neighbours."""
    queue.after[before] = request
    queue.before[request] = before
    queue.after[request] = after
    queue.before[after] = request


@compiled
def take_first(queue, adapter):
    """Take the adapter's first request out."""
    request = queue.head[adapter]
    before, after = queue.before[request], queue.after[request]
    queue.after[before] = after
    queue.before[after] = before
    queue.head[adapter] = queue.of_adapter[request]


@compiled
def offer(queue, adapter):
    """Have `first_offered` see the adapter's first request, or that it has none."""
    head = queue.head[adapter]
    key = NOBODY
    if head >= 0:
        key = np.int64(queue.position[head]) * (len(queue.tree) >> 1) + adapter
    _set_leaf(queue.tree, adapter, key)


@compiled
def withdraw(queue, adapter):
    """Have `first_offered` see nothing of the adapter."""
    if queue.head[adapter] >= 0:
        _set_leaf(queue.tree, adapter, NOBODY)


@compiled
def first_offered(queue):
    """The adapter with the earliest request among those on offer; -1 when there is none."""
    if queue.tree[1] == NOBODY:
        return np.int64(-1)
    return queue.tree[1] & ((len(queue.tree) >> 1) - 1)


@compiled
def _set_leaf(tree, leaf, key):
    node = (len(tree) >> 1) + leaf
    tree[node] = key
    node >>= 1
    while node >= 1:
        smaller = min(tree[2 * node], tree[2 * node + 1])
        if tree[node] == smaller:
            return
        tree[node] = smaller
        node >>= 1
