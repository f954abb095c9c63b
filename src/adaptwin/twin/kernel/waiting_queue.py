"""The waiting queue of the compiled twin: a ring of requests that the scheduler has looked at, and the others.

The ring holds requests that were passed over because no slot was free, and requests that were preempted. Behind them
wait the requests ``fresh ... arrived - 1``, which the scheduler has not looked at yet; rejected requests are among
these. Invariants:

- `before` and `after` link the requests of the ring in queue order; the number ``len(of_adapter)`` closes the ring.
- `head` and `of_adapter` form one FIFO per adapter, in queue order.
- `position` orders requests. It is the request's number, which follows the order of arrival. Preempted requests go to
  the front, so theirs is a negative number: the later the preemption, the smaller.
- `tree` is a min-tree over adapters. An adapter is on offer if its requests may be admitted even when all slots are
  taken. Its leaf then has the position of its first request in the ring in the high bits and the adapter's number in
  the low bits. All other leaves are `_NOT_ON_OFFER`.
- `waiting` counts the waiting requests, in the ring and behind it. It also counts requests that were preempted with
  their last token in flight, which are in neither place.
- While `settled`, no waiting request can be admitted in the next step. With `passed_all`, the reason is that all of
  them were passed over and no slot is free, which only a request that needs no new slot can change. Without it, the
  first request lacks a seat or blocks, so that another one must leave first.
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
        ("front", np.int64),  # position of the latest preempted request
        ("settled", np.bool_),
        ("passed_all", np.bool_),
    ]
)


class WaitingQueue(NamedTuple):
    """The requests that were passed over or preempted, by number; -1 stands for no request."""

    before: NDArray[np.int32]
    after: NDArray[np.int32]
    head: NDArray[np.int32]
    tail: NDArray[np.int32]
    of_adapter: NDArray[np.int32]
    position: NDArray[np.int64]
    tree: NDArray[np.int64]
    state: NDArray[np.void]  # (1,)


def empty_queue(requests: int, adapters: int) -> WaitingQueue:
    """Return the queue before the first request."""
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
        position=np.empty(requests, np.int64),
        tree=np.full(2 << max(0, adapters - 1).bit_length(), _NOT_ON_OFFER, np.int64),
        state=state,
    )


@called
def append(queue, request, adapter):
    """Append a request that was passed over to the ring."""
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
    """Insert a preempted request at the front of the ring."""
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
    """Return the first request of the ring; behind its last request stands the number of all requests."""
    return np.int64(queue.after[len(queue.of_adapter)])


@called
def _link_request(queue, before, request, after):
    """Insert a request into the ring between two neighbours."""
    queue.after[before] = request
    queue.before[request] = before
    queue.after[request] = after
    queue.before[after] = request


@called
def take_first(queue, adapter):
    """Remove the adapter's first request from the ring."""
    queue.state[0].linked -= 1
    request = queue.head[adapter]
    before, after = queue.before[request], queue.after[request]
    queue.after[before] = after
    queue.before[after] = before
    queue.head[adapter] = queue.of_adapter[request]


@called
def offer(queue, adapter):
    """Put the adapter on offer with its first request in the ring, or take it off offer if it has none."""
    head = queue.head[adapter]
    key = _NOT_ON_OFFER
    if head >= 0:
        key = queue.position[head] * (len(queue.tree) >> 1) + adapter
    _set_leaf(queue.tree, adapter, key)


@called
def withdraw(queue, adapter):
    """Take the adapter off offer."""
    if queue.head[adapter] >= 0:
        _set_leaf(queue.tree, adapter, _NOT_ON_OFFER)


@called
def first_offered(queue):
    """Return the adapter on offer whose first request is the earliest; -1 if there is none."""
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
