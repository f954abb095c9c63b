"""The notes of the compiled twin: arrays that one chapter of a run fills, and that are cleared before the next chapter.

They hold what is needed to subtract the inter-token gaps of requests that do not finish, and to measure the gap across
a preemption. A run may have billions of steps, so notes do not grow with it: `next_notes` keeps the steps from the
first one of the oldest running decode on, which are at most as many as an answer has tokens.

A chapter ends when the notes might have no space for another step. It also ends after `_CHAPTER` steps or when the
clock has passed `until`, so that the sums of a chapter stay below 2^63 (`ledger.py`).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import inlined
from adaptwin.twin.kernel.presence import rehashed
from adaptwin.twin.scenario import LAST_TIME, Scenario

_CHAPTER = 1 << 16  # steps

_SEGMENT = np.dtype([("request", np.int64), ("first", np.int64), ("last", np.int64)])
_RESUME = np.dtype([("request", np.int64), ("gap", np.int64)])


class Sizes(NamedTuple):
    """How much a chapter may hold. Any sizes give the same outcome; tests use small ones."""

    steps: int = 1 << 16
    preemptions: int = 1 << 12  # besides those of one step
    integral: int = 1 << 60  # nanoseconds times the largest number that is integrated over time


USUAL_SIZES = Sizes()


class Notes(NamedTuple):
    """The notes of a chapter. Entry i of `step_end` and `step_apart` belongs to step ``first + i``."""

    first: int
    last: int  # the last step that the chapter may plan
    until: int  # the chapter ends with the first step that ends after this time
    step_end: NDArray[np.int64]  # when the tokens of each step reach the client
    step_apart: NDArray[np.bool_]  # whether the tokens of a step are chunks of their own, however close together
    segments: NDArray[np.void]  # the steps of decodes that a preemption has ended
    resumes: NDArray[np.void]  # gaps that span a preemption
    combinations: NDArray[np.uint64]  # hash table of the combinations of running and waiting adapters


def first_notes(scenario: Scenario, sizes: Sizes) -> Notes:
    """Return the notes of the first chapter."""
    preemptions = 2 * scenario.limits.max_num_seqs + sizes.preemptions
    step_end, step_apart = np.empty(sizes.steps, np.int64), np.empty(sizes.steps, np.bool_)
    step_end[0] = step_apart[0] = 0  # there is no step before the first
    return Notes(
        first=0,
        last=sizes.steps - 2,
        until=_chapter_time(scenario, sizes),
        step_end=step_end,
        step_apart=step_apart,
        segments=np.empty(preemptions, _SEGMENT),
        resumes=np.empty(preemptions, _RESUME),
        combinations=np.zeros(1 << 10, np.uint64),
    )


def next_notes(
    notes: Notes, scenario: Scenario, sizes: Sizes, *, oldest: int, planned: int, time: int, label_sets: int
) -> Notes:
    """Return the notes of the next chapter.

    The arrays of steps become twice as long while they are more than half full. So does the hash table, which must keep
    every combination, as the metrics of vLLM do.

    Args:
        notes: The notes of the chapter that has ended. Its segments and resumes are not needed any more.
        scenario: The scenario that is simulated.
        sizes: How much a chapter may hold.
        oldest: The first step that is still needed.
        planned: The latest step that has been planned.
        time: The time of the clock.
        label_sets: Number of combinations in the hash table.
    """
    size, kept = len(notes.step_end), planned + 1 - oldest
    while 2 * kept > size:
        size *= 2
    is_full = 2 * label_sets >= len(notes.combinations)
    return notes._replace(
        first=oldest,
        last=min(oldest + size - 2, planned + _CHAPTER),
        until=min(time + _chapter_time(scenario, sizes), LAST_TIME),
        step_end=_shifted(notes.step_end, oldest - notes.first, kept, size),
        step_apart=_shifted(notes.step_apart, oldest - notes.first, kept, size),
        combinations=rehashed(notes.combinations) if is_full else notes.combinations,
    )


def _shifted(array: NDArray[Any], start: int, count: int, size: int) -> NDArray[Any]:
    """Return an array of this size that begins with `count` entries of another one; it may be the same array."""
    moved = array if size == len(array) else np.empty(size, array.dtype)
    moved[:count] = array[start : start + count]
    return moved


def _chapter_time(scenario: Scenario, sizes: Sizes) -> int:
    """Nanoseconds in which no integral over time grows by more than `sizes.integral`."""
    limits, requests, adapters = scenario.limits, len(scenario.requests.arrival), len(scenario.adapters.needs_slot)
    return sizes.integral // max(limits.kv_blocks, limits.max_num_seqs, requests, adapters, 1)


@inlined
def have_room(notes, counts, clock, max_num_seqs, label_sets):
    """Whether the chapter may go on for another step."""
    return (
        clock.planned < notes.last
        and clock.time <= notes.until
        and counts.segments + max_num_seqs <= len(notes.segments)
        and counts.resumes + max_num_seqs <= len(notes.resumes)
        and 2 * label_sets < len(notes.combinations)
    )
