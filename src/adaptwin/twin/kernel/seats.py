"""The running list of the compiled twin: one seat per running request, in order of admission.

Invariants:

- A decode is not touched between its first token and its last unless it is preempted. It is in the bucket of the step
  that gives its last token. Before step t, ``context0 + t - started - 1`` of its tokens are cached.
- `phase[p]` counts the decodes whose number of cached tokens before step t is p + t modulo the block size. So
  ``phase[-t % block_size]`` decodes need another block in step t.
- `context` is the number of cached tokens of all decodes.
- A request whose last token is in flight is no longer a decode; it keeps its seat and its blocks until the token is
  there. `ending` counts these requests.
- At most one prefill is unfinished, and it is the last of the running list, because it has used up its step's budget.
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
        ("before", np.int32),  # seat of the request admitted before
        ("after", np.int32),  # seat of the request admitted after
        ("bucket_before", np.int32),
        ("bucket_after", np.int32),
        ("answer", np.int32),  # tokens of the answer
        ("total", np.int32),  # tokens of prompt and answer
        ("started", np.int64),  # step that gave the first token since admission
        ("context0", np.int64),  # tokens cached by then
        ("last", np.int64),  # step that gives the last token
        ("preempted", np.int64),  # 1 if preempted with the last token in flight
    ]
)
_SEATS_STATE = np.dtype(
    [
        ("running", np.int64),  # seats that are taken
        ("last", np.int64),  # seat of the request admitted last
        ("ending", np.int64),
        ("decodes", np.int64),
        ("context", np.int64),
        ("free_blocks", np.int64),
        ("done", np.int64),  # prefills that the step being planned finishes
        ("partial", np.int64),  # seat of the unfinished prefill
        ("partial_done", np.int64),  # tokens of the unfinished prefill that are cached
        ("partial_total", np.int64),  # all tokens of the unfinished prefill
        ("partial_blocks", np.int64),  # blocks of the unfinished prefill
    ]
)


class Seats(NamedTuple):
    """The running list and its blocks of KV cache."""

    block_size: int
    seat: NDArray[np.void]  # (max_num_seqs,)
    free: NDArray[np.int32]  # (max_num_seqs,), free seats come first
    bucket: NDArray[np.int32]  # first seat, by step modulo the size, which is a power of two above the longest answer
    phase: NDArray[np.int64]  # (block_size,)
    done: NDArray[np.int32]  # (max_num_seqs,), seats of the prefills that the step being planned finishes
    state: NDArray[np.void]  # (1,)


def empty_seats(limits: Limits, answers: NDArray[np.int32]) -> Seats:
    """Return the running list before the first request; `answers` are the lengths of the answers to come."""
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
    """Blocks that this many tokens need."""
    return (tokens + block_size - 1) // block_size


@inlined
def take_seat(seats, request, adapter, prompt, answer):
    """Append a request to the running list and return its seat."""
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
    """Remove the request in this seat from the running list."""
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
    """Return the first seat of the requests whose last token comes in this step; its `bucket_after` is the next."""
    return np.int64(seats.bucket[step & (len(seats.bucket) - 1)])


@inlined
def empty_bucket(seats, step):
    """Empty the bucket of the requests whose last token comes in this step; return the first seat that was in it."""
    first = first_in_bucket(seats, step)
    seats.bucket[step & (len(seats.bucket) - 1)] = NONE
    return first


@inlined
def leave_bucket(seats, s):
    """Remove a preempted request from its bucket, as it does not get its last token in that step."""
    seat = seats.seat[s]
    if seat.bucket_before >= 0:
        seats.seat[seat.bucket_before].bucket_after = seat.bucket_after
    else:
        seats.bucket[seat.last & (len(seats.bucket) - 1)] = seat.bucket_after
    if seat.bucket_after >= 0:
        seats.seat[seat.bucket_after].bucket_before = seat.bucket_before


@inlined
def start_decode(seats, s, step, generated):
    """Start decoding: the step finishes the seat's prefill and yields a token, before which there are `generated`."""
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
    """Stop counting the request as a decode from this step on; return the number of its cached tokens."""
    state, seat = seats.state[0], seats.seat[s]
    cached = seat.context0 + step - seat.started - 1
    state.decodes -= 1
    state.context -= cached
    seats.phase[(seat.context0 - seat.started - 1) % seats.block_size] -= 1
    return cached


@inlined
def start_prefill(seats, s, done, total, taken):
    """Start a prefill: after the step being planned, `done` tokens are cached, all or as many as its budget allows.

    They take this many free blocks, and may share others.
    """
    state = seats.state[0]
    state.free_blocks -= taken
    if done == total:
        _finish_prefill(seats, s, total)
    else:
        state.partial, state.partial_done, state.partial_total = s, done, total
        state.partial_blocks = blocks_for(done, seats.block_size)


@inlined
def continue_prefill(seats, tokens, blocks):
    """Continue the unfinished prefill: the step being planned computes further tokens, which need further blocks."""
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
