"""The ledger of the compiled twin: integrals over the window, gaps between tokens, samples, and contents of the steps.

It observes the engine and decides nothing. Arrays that grow with the run are in `Notes`, which always have space for
whatever one more step may note.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import inlined
from adaptwin.twin.kernel.presence import rehashed
from adaptwin.twin.scenario import Sample, Window
from adaptwin.twin.step_totals import STEP_TOTALS, add_step
from adaptwin.twin.token_gaps import GAP_BINS, bin_of

_add_step = inlined(add_step)
_FIRST_STEPS = 1 << 14
_LARGE = np.int64(1) << np.int64(61)  # value x nanoseconds above which `carry` takes seconds out of an integral
_SECOND = 1_000_000_000

_SAMPLE = np.dtype([(name, np.int64) for name in Sample._fields])
_SEGMENT = np.dtype([("request", np.int64), ("first", np.int64), ("last", np.int64)])
_RESUME = np.dtype([("request", np.int64), ("gap", np.int64)])
_LEDGER_COUNTS = np.dtype(
    [
        ("preemptions", np.int64),
        ("load_time", np.int64),
        ("finished_tokens", np.int64),
        ("gap_sum", np.int64),
        ("running_time", np.int64),
        ("waiting_time", np.int64),
        ("waiting_seconds", np.int64),  # carried over from waiting_time, which could overflow
        ("kv_time", np.int64),
        ("kv_seconds", np.int64),  # carried over from kv_time
        ("adapter_time", np.int64),
        ("busy_time", np.int64),
        ("samples", np.int64),
        ("segments", np.int64),
        ("resumes", np.int64),
    ]
)


class Ledger(NamedTuple):
    """The counts of a run."""

    gaps: NDArray[np.int64]  # histogram
    step_totals: NDArray[np.void]  # (1,)
    samples: NDArray[np.void]
    counts: NDArray[np.void]  # (1,)


class Notes(NamedTuple):
    """The arrays that grow with a run."""

    step_end: NDArray[np.int64]  # when the tokens of each step reach the client
    step_apart: NDArray[np.bool_]  # whether the tokens of a step are chunks of their own, however close together
    segments: NDArray[np.void]  # the steps of decodes that a preemption has ended
    resumes: NDArray[np.void]  # gaps that span a preemption
    combinations: NDArray[np.uint64]  # hash table of the combinations of running and waiting adapters


def empty_ledger(window: Window) -> Ledger:
    """Return the ledger before anything is counted."""
    samples = -(-window.end // window.sample_every) if window.sample_every else 0
    return Ledger(
        gaps=np.zeros(GAP_BINS, np.int64),
        step_totals=np.zeros(1, STEP_TOTALS),
        samples=np.zeros(samples, _SAMPLE),
        counts=np.zeros(1, _LEDGER_COUNTS),
    )


def empty_notes(max_num_seqs: int) -> Notes:
    """Return notes with space for the first steps."""
    return Notes(
        step_end=np.zeros(_FIRST_STEPS, np.int64),
        step_apart=np.zeros(_FIRST_STEPS, np.bool_),
        segments=np.empty(2 * max_num_seqs, _SEGMENT),
        resumes=np.empty(2 * max_num_seqs, _RESUME),
        combinations=np.zeros(1 << 10, np.uint64),
    )


@inlined
def have_room(notes, counts, planned, max_num_seqs, label_sets):
    """Whether the notes have space for another step."""
    return (
        planned + 2 < len(notes.step_end)
        and counts.segments + max_num_seqs <= len(notes.segments)
        and counts.resumes + max_num_seqs <= len(notes.resumes)
        and 2 * label_sets < len(notes.combinations)
    )


def grown(notes: Notes, *, steps: int, segments: int, resumes: int, combinations: int) -> Notes:
    """Return the notes with every array enlarged that is at least half full.

    The hash table of combinations becomes twice as long, the other arrays four times. `steps`, `segments`, `resumes`
    and `combinations` are the entries in use.
    """
    if 2 * steps >= len(notes.step_end):
        notes = notes._replace(step_end=_longer(notes.step_end), step_apart=_longer(notes.step_apart))
    if 2 * segments >= len(notes.segments):
        notes = notes._replace(segments=_longer(notes.segments))
    if 2 * resumes >= len(notes.resumes):
        notes = notes._replace(resumes=_longer(notes.resumes))
    if 2 * combinations >= len(notes.combinations):
        notes = notes._replace(combinations=rehashed(notes.combinations))
    return notes


def _longer(array: NDArray[Any]) -> NDArray[Any]:
    longer = np.empty(4 * len(array), array.dtype)
    longer[: len(array)] = array
    return longer


@inlined
def note_gap(ledger, gap, decodes):
    """Count a gap of this length for as many decodes; a negative number subtracts it."""
    ledger.gaps[bin_of(gap)] += decodes
    ledger.counts[0].gap_sum += gap * decodes


@inlined
def note_step(ledger, window, step_cost, tokens, context, adapters, running, waiting):
    """Add the contents of a step to the totals, if the window asks for them."""
    if window.step_totals:
        _add_step(
            ledger.step_totals[0],
            tokens,
            context,
            adapters,
            running,
            waiting,
            step_cost.graph_tokens,
            step_cost.split_tokens,
        )


@inlined
def add_time(counts, time, running, waiting, adapters):
    """Add `time` nanoseconds, in which the other numbers do not change, to the integrals."""
    counts.running_time += running * time
    counts.waiting_time += waiting * time
    counts.adapter_time += adapters * time
    counts.busy_time += time


@inlined
def carry(counts):
    """Carry whole seconds over from the two integrals that could otherwise overflow 64 bits."""
    if counts.waiting_time > _LARGE:
        counts.waiting_seconds += counts.waiting_time // _SECOND
        counts.waiting_time %= _SECOND
    if counts.kv_time > _LARGE:
        counts.kv_seconds += counts.kv_time // _SECOND
        counts.kv_time %= _SECOND


@inlined
def next_sample(ledger, window, otherwise):
    """Return when the state is sampled next, or `otherwise` if it is not sampled any more."""
    count = ledger.counts[0].samples
    return count * window.sample_every if count < len(ledger.samples) else otherwise


@inlined
def record(ledger, window, until, running, waiting, kv_blocks, adapters):
    """Sample the state at every sampling time before `until`."""
    counts = ledger.counts[0]
    while counts.samples < len(ledger.samples) and counts.samples * window.sample_every < min(until, window.end):
        sample = ledger.samples[counts.samples]
        sample.time = counts.samples * window.sample_every
        sample.running, sample.waiting = running, waiting
        sample.kv_blocks, sample.adapters = kv_blocks, adapters
        sample.finished_tokens, sample.preemptions = counts.finished_tokens, counts.preemptions
        counts.samples += 1
