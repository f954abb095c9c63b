"""The requests of the compiled twin that have not finished by the end of a run.

The kernel counts the inter-token gaps of all decodes as they come. Here those of unfinished requests are subtracted.
"""

import numpy as np

from adaptwin.jit import borrowing, inlined
from adaptwin.twin.kernel.interruptions import Interruptions
from adaptwin.twin.kernel.ledger import Ledger, note_gap
from adaptwin.twin.kernel.notes import Notes
from adaptwin.twin.kernel.scheduler import Scheduler
from adaptwin.twin.kernel.waiting_queue import first_linked
from adaptwin.twin.wide_sums import add_product, carry


def stop(
    scheduler: Scheduler, ledger: Ledger, notes: Notes, interruptions: Interruptions, steps: int, warmup: int
) -> None:
    """Finish the accounts of a run: unfinished requests keep their tokens so far, and their gaps are subtracted.

    `interruptions` are the gaps of preempted requests.
    """
    _stop(scheduler, ledger, notes, interruptions, np.zeros(steps - notes.first + 4, np.int64), steps, warmup)


@borrowing
def _stop(scheduler, ledger, notes, interruptions, decodes, steps, warmup):
    """Do the work of `stop`. By step of the notes, `decodes` is the change in the number of unfinished decodes."""
    seats, queue, _, _, progress, _ = scheduler
    _stop_running(seats, progress, decodes, notes.first, steps)
    _stop_waiting(queue, progress, steps)
    _take_back(ledger, notes, decodes, steps, warmup)
    for each in interruptions:
        if progress.finish[each.request] < 0:
            ledger.gaps[each.bin] -= each.count
            add_product(ledger.integrals[0].gap_sum, -1, each.gap_sum)
            carry(ledger.integrals[0].gap_sum)


@inlined
def _stop_running(seats, progress, decodes, first, steps):
    """Count the tokens of requests that have a seat or were preempted with their last token in flight."""
    state = seats.state[0]
    s = state.last
    while s >= 0:
        seat = seats.seat[s]
        progress.has_seat[seat.request] = True
        if s != state.partial and seat.started <= steps:
            progress.generated[seat.request] += steps - seat.started + 1
            decodes[seat.started + 1 - first] += 1
            decodes[steps + 1 - first] -= 1
        s = np.int64(seat.before)
    for s in range(len(seats.seat)):
        seat = seats.seat[s]
        if seat.preempted > 0:
            progress.generated[seat.request] = seat.answer - 1
            decodes[seat.started + 1 - first] += seat.started <= steps
            decodes[steps + 1 - first] -= seat.started <= steps


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
    for step in range(1, steps - notes.first + 1):
        decodes += change[step]
        gap = notes.step_end[step] - notes.step_end[step - 1]
        if decodes > 0 and (gap > 0 or notes.step_apart[step]) and notes.step_end[step] > warmup:
            note_gap(ledger, gap, -decodes)
            carry(ledger.integrals[0].gap_sum)
