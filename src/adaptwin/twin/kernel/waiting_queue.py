"""The waiting queue of the compiled twin: a ring of requests at which the scheduler has looked, and the others.

Only requests that were passed over for want of a slot, or preempted, are in the ring. Behind them wait the requests
``fresh ... arrived - 1``, at which the scheduler has not looked yet; rejected ones are among these. Invariants:

- `before` and `after` link the requests of the ring in queue order; it is closed by the number ``len(of_adapter)``.
- `head` and `of_adapter` are one FIFO per adapter, in the same order.
- `position` orders requests: a request's number, which is in order of arrival, or for one that was preempted a
  negative number, the smaller the later it was preempted, because it goes to the front.
- `tree` is a min-tree over adapters. The leaf of an adapter on offer, whose requests may be admitted even when all
  slots are taken, is the position of its first request in the ring with the adapter's number behind it; all others are
  `_NOT_ON_OFFER`.
- `waiting` counts the requests that wait, here or there, and those that were preempted with their last token in flight;
  these are in neither place.
- While `settled`, no request that waits can be admitted in the next step: `passed_all` says that this is because all
  were passed over and no slot is free, so that only a request that needs no new slot changes it; otherwise there is no
  seat or no block for the first one, and a request must leave.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import called

_NOT_ON_OFFER = np.int64(1) << np.int64(62)
_QUEUE_STATE = np.dtype(
    [
        ("waiting", np.int64),
        ("linked", np.int64),  # requests in the ring
        ("fresh", np.int64),
        ("arrived", np.int64),
        ("front", np.int64),  # position of the request that was preempted last
        ("settled", np.bool_),
        ("passed_all", np.bool_),
    ]
)


class WaitingQueue(NamedTuple):
    """Requests that were passed over or preempted; none is -1."""

    before: NDArray[np.int32]
    after: NDArray[np.int32]
    head: NDArray[np.int32]
    tail: NDArray[np.int32]
    of_adapter: NDArray[np.int32]
    position: NDArray[np.int32]
    tree: NDArray[np.int64]
    state: NDArray[np.void]  # (1,)


def empty_queue(requests: int, adapters: int) -> WaitingQueue:
    """The queue before the first request."""
    state = np.zeros(1, _QUEUE_STATE)
    state["settled"] = state["passed_all"] = True
    before, after = np.empty(requests + 1, np.int32), np.empty(requests + 1, np.int32)
    before[requests] = after[requests] = requests
    return WaitingQueue(
        before=before,
        after=after,
        head=np.full(adapters, -1, np.int32),
        tail=np.full(adapters, -1, np.int32),
        of_adapter=np.empty(requests, np.int32),
        position=np.empty(requests, np.int32),
        tree=np.full(2 << max(0, adapters - 1).bit_length(), _NOT_ON_OFFER, np.int64),
        state=state,
    )


@called
def append(queue, request, adapter):
    """Put a request that was passed over at the back."""
    end = len(queue.of_adapter)
    queue.state[0].linked += 1
    _link_request(queue, queue.before[end], request, end)
    queue.position[request] = request
    queue.of_adapter[request] = -1
    if queue.head[adapter] < 0:
        queue.head[adapter] = request
    else:
        queue.of_adapter[queue.tail[adapter]] = request
    queue.tail[adapter] = request


@called
def prepend(queue, request, adapter):
    """Put a preempted request at the front."""
    end = len(queue.of_adapter)
    state = queue.state[0]
    state.linked += 1
    state.front -= 1
    _link_request(queue, end, request, queue.after[end])
    queue.position[request] = state.front
    queue.of_adapter[request] = queue.head[adapter]
    if queue.head[adapter] < 0:
        queue.tail[adapter] = request
    queue.head[adapter] = request


@called
def first_linked(queue):
    """The first request of the ring; past the last one there is the number of all requests."""
    return np.int64(queue.after[len(queue.of_adapter)])


@called
def _link_request(queue, before, request, after):
    """Put a request into the ring between two neighbours."""
    queue.after[before] = request
    queue.before[request] = before
    queue.after[request] = after
    queue.before[after] = request


@called
def take_first(queue, adapter):
    """Take the adapter's first request out."""
    queue.state[0].linked -= 1
    request = queue.head[adapter]
    before, after = queue.before[request], queue.after[request]
    queue.after[before] = after
    queue.before[after] = before
    queue.head[adapter] = queue.of_adapter[request]


@called
def offer(queue, adapter):
    """Have `first_offered` see the adapter's first request, or that it has none."""
    head = queue.head[adapter]
    key = _NOT_ON_OFFER
    if head >= 0:
        key = np.int64(queue.position[head]) * (len(queue.tree) >> 1) + adapter
    _set_leaf(queue.tree, adapter, key)


@called
def withdraw(queue, adapter):
    """Have `first_offered` see nothing of the adapter."""
    if queue.head[adapter] >= 0:
        _set_leaf(queue.tree, adapter, _NOT_ON_OFFER)


@called
def first_offered(queue):
    """The adapter with the earliest request among those on offer; -1 when there is none."""
    if queue.tree[1] == _NOT_ON_OFFER:
        return np.int64(-1)
    return queue.tree[1] & ((len(queue.tree) >> 1) - 1)


@called
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
