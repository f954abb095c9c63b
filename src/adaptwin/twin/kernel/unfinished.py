"""The requests of the compiled twin that have not finished by the end of a run.

The kernel counts the inter-token gaps of all decodes as they come. Here those of unfinished requests are subtracted.
"""

import numpy as np

from adaptwin.jit import borrowing, inlined
from adaptwin.twin.kernel.ledger import Ledger, Notes, note_gap
from adaptwin.twin.kernel.scheduler import Scheduler
from adaptwin.twin.kernel.waiting_queue import first_linked


def stop(scheduler: Scheduler, ledger: Ledger, notes: Notes, steps: int, warmup: int) -> None:
    """Finish the accounts of a run: unfinished requests keep their tokens so far, and their gaps are subtracted."""
    _stop(scheduler, ledger, notes, np.zeros(steps + 4, np.int64), steps, warmup)


@borrowing
def _stop(scheduler, ledger, notes, decodes, steps, warmup):
    """Do the work of `stop`. By step, `decodes` is the change in the number of unfinished decodes."""
    seats, queue, _, _, progress = scheduler
    counts = ledger.counts[0]
    _stop_running(seats, progress, decodes, steps)
    _stop_waiting(queue, progress, steps)
    for i in range(counts.segments):
        segment = notes.segments[i]
        if progress.finish[segment.request] < 0:
            decodes[segment.first] += 1
            decodes[segment.last + 1] -= 1
    for i in range(counts.resumes):
        resume = notes.resumes[i]
        if progress.finish[resume.request] < 0:
            note_gap(ledger, resume.gap, -1)
    _take_back(ledger, notes, decodes, steps, warmup)


@inlined
def _stop_running(seats, progress, decodes, steps):
    """Count the tokens of requests that have a seat or were preempted with their last token in flight."""
    state = seats.state[0]
    s = state.last
    while s >= 0:
        seat = seats.seat[s]
        progress.has_seat[seat.request] = True
        if s != state.partial and seat.started <= steps:
            progress.generated[seat.request] += steps - seat.started + 1
            decodes[seat.started + 1] += 1
            decodes[steps + 1] -= 1
        s = np.int64(seat.before)
    for s in range(len(seats.seat)):
        seat = seats.seat[s]
        if seat.preempted > 0:
            progress.generated[seat.request] = seat.answer - 1
            decodes[seat.started + 1] += seat.started <= steps
            decodes[steps + 1] -= seat.started <= steps


@inlined
def _stop_waiting(queue, progress, steps):
    """Subtract the tokens in flight that preempted requests did not get by the end."""
    r = first_linked(queue)
    while r < len(queue.of_adapter) and queue.position[r] < 0:
        progress.generated[r] -= progress.generated[r] > 0 and progress.last_step[r] > steps
        r = np.int64(queue.after[r])


@inlined
def _take_back(ledger, notes, change, steps, warmup):
    """Subtract the gaps of unfinished decodes from the histogram and the sum."""
    decodes = np.int64(0)
    for step in range(1, steps + 1):
        decodes += change[step]
        gap = notes.step_end[step] - notes.step_end[step - 1]
        if decodes > 0 and (gap > 0 or notes.step_apart[step]) and notes.step_end[step] > warmup:
            note_gap(ledger, gap, -decodes)
