"""The running list of the compiled twin: seats in order of admission, and when something changes about them.

Invariants:

- A decode is never touched between its first token and its last. It is in the bucket of its last step, and moves only
  when it is preempted. Before step t, ``context0 + t - started - 1`` of its tokens are cached.
- `phase[p]` counts decodes whose cached tokens are p - t modulo the block size before step t, so the decodes that need
  another block in step t are ``phase[-t % block_size]``, and `context` is the sum of their cached tokens.
- A request whose last token is in flight is no longer among the decodes; it keeps its seat and its blocks until the
  token is there. `ending` counts these requests.
- At most one prefill is unfinished, and it is the last of the running list: it used up its step's budget.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import inlined
from adaptwin.twin.server import Limits

NONE = -1  # no seat

_SEAT = np.dtype(
    [
        ("request", np.int32),
        ("adapter", np.int32),
        ("before", np.int32),  # in order of admission
        ("after", np.int32),
        ("bucket_before", np.int32),
        ("bucket_after", np.int32),
        ("answer", np.int32),
        ("total", np.int32),  # prompt and answer
        ("started", np.int64),  # step that gave the first token since admission
        ("context0", np.int64),  # tokens cached by then
        ("last", np.int64),  # step that gives the last token
        ("preempted", np.int64),  # with its last token in flight
    ]
)
_SEATS_STATE = np.dtype(
    [
        ("running", np.int64),  # seats that are taken
        ("last", np.int64),  # of them, in order of admission
        ("ending", np.int64),
        ("decodes", np.int64),
        ("context", np.int64),
        ("free_blocks", np.int64),
        ("done", np.int64),  # prefills that the step being planned finishes
        ("partial", np.int64),  # seat of the unfinished prefill
        ("partial_done", np.int64),  # its tokens that are cached
        ("partial_total", np.int64),  # and all of them
        ("partial_blocks", np.int64),
    ]
)


class Seats(NamedTuple):
    """The running list and its blocks of KV cache."""

    block_size: int
    seat: NDArray[np.void]  # (max_num_seqs,)
    free: NDArray[np.int32]  # (max_num_seqs,), seats that are free in front
    bucket: NDArray[np.int32]  # by step modulo its size, a power of two above the longest answer
    phase: NDArray[np.int64]  # (block_size,)
    done: NDArray[np.int32]  # (max_num_seqs,), seats of the prefills that the step being planned finishes
    state: NDArray[np.void]  # (1,)


def empty_seats(limits: Limits, answers: NDArray[np.int32]) -> Seats:
    """The running list before the first request; the requests will have these answers."""
    count = limits.max_num_seqs
    state = np.zeros(1, _SEATS_STATE)
    state["last"] = state["partial"] = NONE
    state["free_blocks"] = limits.kv_blocks
    return Seats(
        block_size=limits.block_size,
        seat=np.zeros(count, _SEAT),
        free=np.arange(count, dtype=np.int32)[::-1].copy(),
        bucket=np.full(1 << int(answers.max(initial=2) + 1).bit_length(), NONE, np.int32),
        phase=np.zeros(limits.block_size, np.int64),
        done=np.empty(count, np.int32),
        state=state,
    )


@inlined
def blocks_for(tokens, block_size):
    """Blocks that hold this many tokens."""
    return (tokens + block_size - 1) // block_size


@inlined
def take_seat(seats, request, adapter, prompt, answer):
    """Append a request to the running list; returns its seat."""
    state = seats.state[0]
    s = seats.free[len(seats.free) - state.running - 1]
    state.running += 1
    seat = seats.seat[s]
    seat.request, seat.adapter, seat.answer, seat.total = request, adapter, answer, prompt + answer
    seat.before, seat.after = state.last, NONE
    if state.last >= 0:
        seats.seat[state.last].after = s
    state.last = s
    return s


@inlined
def leave_seat(seats, s):
    """Take a request out of the running list."""
    state, seat = seats.state[0], seats.seat[s]
    if seat.before >= 0:
        seats.seat[seat.before].after = seat.after
    if seat.after >= 0:
        seats.seat[seat.after].before = seat.before
    else:
        state.last = seat.before
    state.running -= 1
    seats.free[len(seats.free) - state.running - 1] = s


@inlined
def first_in_bucket(seats, step):
    """The first of the requests whose last token comes in this step; `bucket_after` has the next."""
    return np.int64(seats.bucket[step & (len(seats.bucket) - 1)])


@inlined
def empty_bucket(seats, step):
    """The requests whose last token comes in this step leave its bucket; returns the first."""
    first = first_in_bucket(seats, step)
    seats.bucket[step & (len(seats.bucket) - 1)] = NONE
    return first


@inlined
def leave_bucket(seats, s):
    """The request does not get its last token in that step."""
    seat = seats.seat[s]
    if seat.bucket_before >= 0:
        seats.seat[seat.bucket_before].bucket_after = seat.bucket_after
    else:
        seats.bucket[seat.last & (len(seats.bucket) - 1)] = seat.bucket_after
    if seat.bucket_after >= 0:
        seats.seat[seat.bucket_after].bucket_before = seat.bucket_before


@inlined
def start_decode(seats, s, step, generated):
    """The step finishes the seat's prefill and yields a token; the request has `generated` before that."""
    state, seat = seats.state[0], seats.seat[s]
    seat.started = step
    seat.last = step + seat.answer - generated - 1
    state.decodes += 1
    state.context += seat.context0
    seats.phase[(seat.context0 - step - 1) % seats.block_size] += 1
    first = first_in_bucket(seats, seat.last)
    seat.bucket_before, seat.bucket_after = NONE, first
    if first >= 0:
        seats.seat[first].bucket_before = s
    seats.bucket[seat.last & (len(seats.bucket) - 1)] = s


@inlined
def stop_decode(seats, s, step):
    """The request is no decode from this step on; returns its tokens in the cache."""
    state, seat = seats.state[0], seats.seat[s]
    cached = seat.context0 + step - seat.started - 1
    state.decodes -= 1
    state.context -= cached
    seats.phase[(seat.context0 - seat.started - 1) % seats.block_size] -= 1
    return cached


@inlined
def start_prefill(seats, s, tokens, total, blocks):
    """The step being planned computes the first tokens of a request, all of them or as many as its budget allows."""
    state = seats.state[0]
    state.free_blocks -= blocks
    if tokens == total:
        _finish_prefill(seats, s, total)
    else:
        state.partial, state.partial_done, state.partial_total, state.partial_blocks = s, tokens, total, blocks


@inlined
def continue_prefill(seats, tokens, blocks):
    """The step being planned computes further tokens of the unfinished prefill, in so many further blocks."""
    state = seats.state[0]
    state.free_blocks -= blocks
    state.partial_done += tokens
    state.partial_blocks += blocks
    if state.partial_done == state.partial_total:
        _finish_prefill(seats, state.partial, state.partial_total)
        state.partial = NONE


@inlined
def _finish_prefill(seats, s, total):
    state = seats.state[0]
    seats.seat[s].context0 = total
    seats.done[state.done] = s
    state.done += 1
