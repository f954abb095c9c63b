"""The gaps of preempted requests, kept in brief for as long as it is open whether the requests will finish.

The kernel counts the inter-token gaps of all decodes as they come, and `unfinished` subtracts those of requests that do
not finish. The gaps before a preemption are found in the notes of the chapter. At the end of the chapter they are
condensed to a histogram for each preempted request that has not finished, so that the notes can be cleared.
"""

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import borrowing, inlined
from adaptwin.twin.kernel.ledger import Ledger
from adaptwin.twin.kernel.notes import Notes
from adaptwin.twin.kernel.scheduler import Scheduler
from adaptwin.twin.kernel.waiting_queue import first_linked
from adaptwin.twin.scenario import Window
from adaptwin.twin.token_gaps import GAP_BINS, bin_of

# The gaps of one request in one bin of the histogram.
_INTERRUPTION = np.dtype([("request", np.int64), ("bin", np.int64), ("count", np.int64), ("gap_sum", np.int64)])

Interruptions = NDArray[np.void]  # rows of `_INTERRUPTION`, in no order


def no_interruptions() -> Interruptions:
    """Return the gaps before the first preemption."""
    return np.empty(0, _INTERRUPTION)


def remember(
    interruptions: Interruptions, scheduler: Scheduler, ledger: Ledger, notes: Notes, window: Window, steps: int
) -> Interruptions:
    """Return the gaps of requests that have not finished, with those of the chapter; clear its segments and resumes.

    `steps` is the number of steps that are done.
    """
    counts = ledger.counts[0]
    segments, resumes = notes.segments[: counts["segments"]], notes.resumes[: counts["resumes"]]
    counts["segments"] = counts["resumes"] = 0
    if window.drain or len(segments) + len(resumes) == 0:
        return interruptions
    finish = scheduler.progress.finish
    segments, resumes, interruptions = (
        rows[finish[rows["request"]] < 0] for rows in (segments, resumes, interruptions)
    )
    lengths = segments["last"] - segments["first"] + 1
    found = np.empty(int(np.minimum(lengths, GAP_BINS).sum()) + len(resumes), _INTERRUPTION)
    rows = _condense(found, np.full(GAP_BINS, -1, np.int64), segments, resumes, notes, steps, window.warmup)
    return _merged(np.concatenate((interruptions, found[:rows])))


@borrowing
def _condense(found, row_of_bin, segments, resumes, notes, steps, warmup):
    """Write the gaps of segments and resumes to `found`; return the number of rows."""
    rows = 0
    for segment in segments:
        first_row = rows
        for step in range(segment.first - notes.first, min(segment.last, steps) - notes.first + 1):
            gap = notes.step_end[step] - notes.step_end[step - 1]
            if notes.step_end[step] > warmup and (gap > 0 or notes.step_apart[step]):
                of_gap = bin_of(gap)
                if row_of_bin[of_gap] < first_row:
                    row_of_bin[of_gap] = rows
                    row = found[rows]
                    row.request, row.bin, row.count, row.gap_sum = segment.request, of_gap, 0, 0
                    rows += 1
                row = found[row_of_bin[of_gap]]
                row.count += 1
                row.gap_sum += gap
    for resume in resumes:
        row = found[rows]
        row.request, row.bin, row.count, row.gap_sum = resume.request, bin_of(resume.gap), 1, resume.gap
        rows += 1
    return rows


def _merged(interruptions: Interruptions) -> Interruptions:
    """Return the gaps with one row for each request and bin."""
    ordered = interruptions[np.lexsort((interruptions["bin"], interruptions["request"]))]
    is_new = np.ones(len(ordered), np.bool_)
    is_new[1:] = (np.diff(ordered["request"]) != 0) | (np.diff(ordered["bin"]) != 0)
    first = np.flatnonzero(is_new)
    merged = ordered[first]
    if len(merged):
        for name in ("count", "gap_sum"):
            merged[name] = np.add.reduceat(ordered[name], first)
    return merged


def forget(scheduler: Scheduler, notes: Notes, steps: int) -> int:
    """Write down when preempted requests had their latest token; return the first step that is needed from now on."""
    return int(_forget(scheduler, notes, steps))


@borrowing
def _forget(scheduler, notes, steps):
    """Do the work of `forget`: the last of the steps that are done is needed, and those of the running decodes."""
    seats, queue, _, _, progress, _ = scheduler
    r = first_linked(queue)
    while r < len(queue.of_adapter) and queue.position[r] < 0:
        _write_down(progress, notes, r)
        r = np.int64(queue.after[r])
    oldest, state = np.int64(steps), seats.state[0]
    s = state.last
    while s >= 0:
        seat = seats.seat[s]
        if s == state.partial:  # it may have been preempted before it was admitted
            _write_down(progress, notes, np.int64(seat.request))
        else:
            oldest = min(oldest, seat.started)
        s = np.int64(seat.before)
    return oldest


@inlined
def _write_down(progress, notes, request):
    if progress.generated[request] > 0 and progress.last_step[request] >= notes.first:
        progress.last_token[request] = notes.step_end[progress.last_step[request] - notes.first]
