"""The steps in flight of the compiled twin: sent to the model, but their tokens are not there yet.

Steps up to number `planned` are sent, and steps up to number `steps` are done. With asynchronous scheduling, the latest
step is often in flight. Sending a step advances the state as if the step were done, except for what its tokens cause: a
request whose last token is in flight leaves the decodes and the batch at once, but gives up its seat and blocks only
when the token is there.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import inlined
from adaptwin.twin.kernel.adapter_slots import all_taken, leave_slot
from adaptwin.twin.kernel.ledger import note_gap
from adaptwin.twin.kernel.prefix_cache import give_back, starts_decode
from adaptwin.twin.kernel.presence import RUNNING, leaves
from adaptwin.twin.kernel.seats import (
    blocks_for,
    empty_bucket,
    first_in_bucket,
    leave_seat,
    start_decode,
    stop_decode,
)
from adaptwin.twin.scenario import NOT_YET

_FLIGHT = np.dtype(
    [
        ("end", np.int64),
        ("decodes", np.int64),
        ("adapters", np.int64),
        ("prefills", np.int64),  # requests that get their first token since admission
    ]
)


class Flights(NamedTuple):
    """The steps in flight, by step modulo 2."""

    flight: NDArray[np.void]  # (2,)
    request: NDArray[np.int32]  # (2, max_num_seqs), requests whose prefill the step finishes
    before: NDArray[np.int64]  # (2, max_num_seqs), when the previous token of each of these requests came, or NOT_YET


def no_flights(max_num_seqs: int) -> Flights:
    """Return the state with no step in flight."""
    shape = 2, max_num_seqs
    return Flights(np.zeros(2, _FLIGHT), np.empty(shape, np.int32), np.empty(shape, np.int64))


@inlined
def launch(flights, scheduler, notes, step, end):
    """Send a step to the model, to be done at `end`: each decode gets a token, and each finished prefill its first."""
    seats, progress = scheduler.seats, scheduler.progress
    state, i = seats.state[0], step & 1
    flight = flights.flight[i]
    flight.end, flight.decodes, flight.prefills = end, state.decodes, state.done
    flight.adapters = scheduler.slots.state[0].adapters
    state.context += state.decodes
    for j in range(state.done):
        s = np.int64(seats.done[j])
        r = seats.seat[s].request
        flights.request[i, j] = r
        flights.before[i, j] = _latest_token(progress, notes, r)
        start_decode(seats, s, step, progress.generated[r])
        starts_decode(scheduler.cache, s, r)
    s = first_in_bucket(seats, step)
    while s >= 0:
        stop_decode(seats, s, step + 1)
        state.ending += 1
        leave_slot(scheduler.slots, scheduler.queue, np.int64(seats.seat[s].adapter), step)
        s = np.int64(seats.seat[s].bucket_after)


@inlined
def _latest_token(progress, notes, request):
    """Return when the latest token of a request came that is admitted; NOT_YET if it has none."""
    if progress.generated[request] == 0:
        return np.int64(NOT_YET)
    step = progress.last_step[request]
    return notes.step_end[step - notes.first] if step >= notes.first else progress.last_token[request]


@inlined
def land(flights, scheduler, limits, ledger, notes, step, seen, warmup):
    """Pass the tokens of the oldest step in flight to the client, which receives them at `seen`."""
    flight = flights.flight[step & 1]
    apart = flight.decodes + flight.prefills > limits.output_chunk
    gap = seen - notes.step_end[step - 1 - notes.first]
    if seen > warmup and (gap > 0 or apart) and flight.decodes > 0:
        note_gap(ledger, gap, flight.decodes)
    notes.step_end[step - notes.first] = seen
    notes.step_apart[step - notes.first] = apart
    for j in range(flight.prefills):
        r = np.int64(flights.request[step & 1, j])
        if scheduler.progress.first_token[r] < 0:
            scheduler.progress.first_token[r] = seen
            continue
        gap = seen - flights.before[step & 1, j]
        if seen > warmup and (gap > 0 or apart):
            note_gap(ledger, gap, 1)
            resume = notes.resumes[ledger.counts[0].resumes]
            resume.request, resume.gap = r, gap
            ledger.counts[0].resumes += 1
    _finish_requests(scheduler, ledger.counts[0], step, seen)


@inlined
def _finish_requests(scheduler, counts, step, seen):
    """Remove the requests whose last token came with this step, in the order of their admission."""
    seats, queue, progress = scheduler.seats, scheduler.queue, scheduler.progress
    state, waiting = seats.state[0], queue.state[0]
    s = empty_bucket(seats, step)
    if s >= 0:
        waiting.settled = waiting.settled and waiting.passed_all and all_taken(scheduler.slots)
        while seats.seat[s].bucket_after >= 0:
            s = np.int64(seats.seat[s].bucket_after)
    while s >= 0:
        seat = seats.seat[s]
        progress.finish[seat.request] = seen
        progress.generated[seat.request] = seat.answer
        counts.finished_tokens += seat.total
        if seat.preempted > 0:
            seat.preempted = 0
            waiting.waiting -= 1
        else:
            cached = np.int64(seat.total - 1)  # the last token is never cached
            state.free_blocks += give_back(
                scheduler.cache,
                seats,
                s,
                np.int64(seat.request),
                cached,
                blocks_for(cached, seats.block_size),
                state.free_blocks,
                step,
                False,
            )
            state.ending -= 1
            leave_seat(seats, s)
            leaves(scheduler.presence, RUNNING, np.int64(seat.adapter))
        s = np.int64(seat.bucket_before)
