"""The scheduler of the compiled twin: running requests first, then waiting ones unless a request had to be preempted.

Running requests are not visited one by one: in a step, only the decodes that cross a block border and the unfinished
prefill need blocks.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import called, inlined
from adaptwin.profile.step_cost import pairs_of_chunk
from adaptwin.twin.kernel.adapter_slots import AdapterSlots, all_taken, join_batch, leave_slot, needs_new_slot
from adaptwin.twin.kernel.cached_runs import PrefixCache, take_due
from adaptwin.twin.kernel.prefix_cache import (
    cached_tokens,
    find_hits,
    give_back,
    is_plain,
    publish,
    take_hits,
    takes_seat,
)
from adaptwin.twin.kernel.presence import RUNNING, WAITING, Presence, joins, leaves
from adaptwin.twin.kernel.seats import (
    Seats,
    blocks_for,
    continue_prefill,
    leave_bucket,
    leave_seat,
    start_prefill,
    stop_decode,
    take_seat,
)
from adaptwin.twin.kernel.waiting_queue import (
    WaitingQueue,
    append,
    first_linked,
    first_offered,
    offer,
    prepend,
    take_first,
)

_pairs_of_chunk = inlined(pairs_of_chunk)


class RequestProgress(NamedTuple):
    """The progress of each request. Each array has the shape (requests,)."""

    first_token: NDArray[np.int64]  # nanoseconds, or NOT_YET
    finish: NDArray[np.int64]  # nanoseconds, or NOT_YET
    generated: NDArray[np.int32]  # output tokens before the latest admission
    rejected: NDArray[np.bool_]
    has_seat: NDArray[np.bool_]  # at the end of the run
    last_step: NDArray[np.int64]  # the step that gave a preempted request its latest token
    last_token: NDArray[np.int64]  # when that token came, if the step is older than the notes


def no_progress(requests: int) -> RequestProgress:
    """Return the progress before the first request; empty arrays are filled as requests arrive or are preempted."""
    return RequestProgress(
        first_token=np.empty(requests, np.int64),
        finish=np.empty(requests, np.int64),
        generated=np.empty(requests, np.int32),
        rejected=np.zeros(requests, np.bool_),
        has_seat=np.zeros(requests, np.bool_),
        last_step=np.empty(requests, np.int64),
        last_token=np.empty(requests, np.int64),
    )


class Scheduler(NamedTuple):
    """The running list, the waiting queue, and the state that both share."""

    seats: Seats
    queue: WaitingQueue
    slots: AdapterSlots
    presence: Presence
    progress: RequestProgress
    cache: PrefixCache


@inlined
def schedule_running(scheduler, limits, step, counts, segments):
    """Give every running request its blocks; if blocks run out, preempt the requests admitted last.

    Returns the tokens that running requests compute, and what the unfinished prefill reads: cached tokens if vLLM takes
    it for a decode, otherwise pairs of tokens.
    """
    seats, progress, cache = scheduler.seats, scheduler.progress, scheduler.cache
    state = seats.state[0]
    state.done = scheduler.slots.state[0].woken = 0
    chunk = chunk_blocks = np.int64(0)
    if state.partial >= 0:
        chunk = min(state.partial_total - state.partial_done, limits.token_budget - state.decodes)
        chunk_blocks = blocks_for(state.partial_done + chunk, limits.block_size) - state.partial_blocks
    crossing = seats.phase[-step % limits.block_size]
    while crossing + chunk_blocks > state.free_blocks:
        given = min(crossing, state.free_blocks)  # to those admitted before
        state.free_blocks -= given
        crossing -= given
        if state.last == state.partial:
            chunk = chunk_blocks = np.int64(0)
        crossing -= preempt_last(scheduler, step, counts, segments)
    state.free_blocks -= crossing
    context = pairs = np.int64(0)
    if state.partial >= 0:
        if state.partial_total - state.partial_done == 1 and progress.generated[seats.seat[state.partial].request] > 0:
            context = state.partial_done  # to vLLM, a step that computes only the latest output token is a decode
        else:
            pairs = _pairs_of_chunk(chunk, state.partial_done)
        s, done = state.partial, state.partial_done + chunk
        continue_prefill(seats, chunk, chunk_blocks)
        if len(cache.kept) > 0:
            take_due(cache, state.free_blocks)
            publish(cache, seats, s, np.int64(seats.seat[s].request), done // limits.block_size, step)
    return state.decodes + chunk, context, pairs


@called
def preempt_last(scheduler, step, counts, segments):
    """Preempt the request admitted last: free its blocks; its tokens are computed again later.

    Returns whether it is a decode that would have needed another block in this step.
    """
    seats, queue, slots, presence, progress, cache = scheduler
    state = seats.state[0]
    s = state.last
    seat = seats.seat[s]
    r, a = np.int64(seat.request), np.int64(seat.adapter)
    crosses, is_ending = False, False
    if s == state.partial:
        cached, blocks = state.partial_done, state.partial_blocks
        state.partial = -1
    else:
        cached = cached_tokens(cache, seats, s, step, False)
        if seat.last == step - 1:
            # Its last token is in flight: it leaves, from the front of the waiting queue, before the next step is
            # planned.
            is_ending = True
            seat.preempted = 1
            state.ending -= 1
            computed = np.int64(seat.total - 1)
        else:
            computed = _stop_midway(seats, progress, s, step, counts, segments)
            crosses = computed % seats.block_size == 0
        blocks = blocks_for(computed, seats.block_size)
    state.free_blocks += give_back(cache, seats, s, r, cached, blocks, state.free_blocks, step, not is_ending)
    leave_seat(seats, s)
    queue.state[0].waiting += 1
    counts.preemptions += 1
    leaves(presence, RUNNING, a)
    if not is_ending:
        prepend(queue, r, a)
        leave_slot(slots, queue, a, step - 1)
        if slots.swapping and not needs_new_slot(slots, a):
            offer(queue, a)
        joins(presence, WAITING, a)
    return crosses


@inlined
def _stop_midway(seats, progress, s, step, counts, segments):
    """Stop a decode that is preempted; return how many of its tokens are computed."""
    seat = seats.seat[s]
    computed = stop_decode(seats, s, step)
    leave_bucket(seats, s)
    progress.generated[seat.request] += step - seat.started
    progress.last_step[seat.request] = step - 1
    if step > seat.started + 1:
        segment = segments[counts.segments]
        segment.request, segment.first, segment.last = seat.request, seat.started + 1, step - 1
        counts.segments += 1
    return computed


@inlined
def schedule_waiting(scheduler, limits, requests, step, budget):
    """Admit waiting requests while tokens, seats, slots and blocks last.

    Returns the tokens that they compute, the cached tokens that those read which vLLM takes for decodes, and the pairs
    of tokens that the attention of the others compares.
    """
    seats, queue, slots, presence, progress, cache = scheduler
    state, waiting = seats.state[0], queue.state[0]
    taken = context = pairs = np.int64(0)
    while taken < budget and state.running < limits.max_num_seqs:
        r, a = _first_admissible(queue, slots, requests.adapter, progress.rejected)
        if r < 0:
            waiting.passed_all = waiting.settled = True
            return taken, context, pairs
        total = np.int64(requests.input[r] + progress.generated[r])
        hits = held = np.int64(0)  # blocks that are cached, and those of them that others hold
        plain = is_plain(cache, r)
        if not plain:
            take_due(cache, state.free_blocks)
            hits, idle = find_hits(cache, seats, r, total, step)
            held = hits - idle
        hit = hits * limits.block_size
        tokens = min(total - hit, budget - taken)
        blocks = blocks_for(hit + tokens, limits.block_size) - held
        needed = blocks_for(total, limits.block_size) - held if limits.reserve_whole_prompt else blocks
        if needed > state.free_blocks - (limits.watermark_blocks if state.running > 0 else 0):
            waiting.settled = True
            return taken, context, pairs
        taken += tokens
        if total - hit == 1 and progress.generated[r] > 0:
            context += hit
        else:
            pairs += _pairs_of_chunk(tokens, hit)
        if cache.is_on and (r == waiting.fresh or queue.position[r] >= 0):  # not preempted before
            cache.state[0].queried_tokens += total
            cache.state[0].hit_tokens += hit
        join_batch(slots, a)
        _leave_queue(queue, slots, r, a)
        s = take_seat(seats, r, a, requests.input[r], requests.output[r])
        start_prefill(seats, s, hit + tokens, total, blocks)
        if not plain:
            take_hits(cache, s, r, hits)
            take_due(cache, state.free_blocks)
            takes_seat(cache, s, r)
            publish(cache, seats, s, r, (hit + tokens) // limits.block_size, step)
        joins(presence, RUNNING, a)
        leaves(presence, WAITING, a)
    waiting.settled = state.running == limits.max_num_seqs
    return taken, context, pairs


@inlined
def _first_admissible(queue, slots, adapter_of, rejected):
    """Return the first waiting request that needs no new slot or can get one, and its adapter; -1 if there is none."""
    state, taken = queue.state[0], all_taken(slots)
    if state.linked > 0:
        if not taken:
            r = first_linked(queue)
            return r, np.int64(adapter_of[r])
        a = first_offered(queue)
        if a >= 0:
            return np.int64(queue.head[a]), a
    for r in range(state.fresh, state.arrived):
        a = np.int64(adapter_of[r])
        if not rejected[r]:
            if not (taken and needs_new_slot(slots, a)):
                state.fresh = r
                return r, a
            append(queue, r, a)
    state.fresh = state.arrived
    return np.int64(-1), np.int64(-1)


@inlined
def _leave_queue(queue, slots, request, adapter):
    """Take a request that is admitted, the first one of its adapter, out of the waiting queue."""
    state = queue.state[0]
    state.waiting -= 1
    if request == state.fresh:
        state.fresh += 1
    else:
        take_first(queue, adapter)
        if slots.swapping:
            offer(queue, adapter)
