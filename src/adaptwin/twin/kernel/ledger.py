"""The ledger of the compiled twin: integrals over the window, gaps between tokens, samples, and contents of the steps.

It observes the engine and decides nothing. Integrals and step totals are those of the present chapter. When it ends,
Python adds them to integers of any size (`Sums`), so none of them passes 2^63:

- The clock advances by at most ``2^60 / n`` in a chapter, besides its last step, where n is the largest number that is
  integrated over time (`notes.py`). Below 10^9 times 2^32 are added to a low part for the last step. Together this is
  under 2^63. Gaps are integrated over time as well: those of a seat follow one another.
- A chapter has at most 2^16 steps. What a step adds to a total is largest for the pairs of tokens: at most 10^7 tokens
  (`MAX_TOKENS`) that are each compared with as many, so 2^16 times 10^14 or 7 x 10^18.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptwin.jit import inlined
from adaptwin.twin.scenario import Sample, Window
from adaptwin.twin.step_totals import STEP_TOTALS, StepTotals, add_step
from adaptwin.twin.token_gaps import GAP_BINS, bin_of
from adaptwin.twin.wide_sums import WIDE, add_product, as_integer, is_short

_add_step = inlined(add_step)
_SAMPLE = np.dtype([(name, np.int64) for name in Sample._fields])
_INTEGRALS = np.dtype(
    [(name, WIDE) for name in ("running_time", "waiting_time", "kv_time", "adapter_time", "busy_time", "gap_sum")]
)
_LEDGER_COUNTS = np.dtype(
    [
        ("preemptions", np.int64),
        ("load_time", np.int64),
        ("finished_tokens", np.int64),
        ("samples", np.int64),
        ("segments", np.int64),
        ("resumes", np.int64),
    ]
)


class Ledger(NamedTuple):
    """The counts of a run."""

    gaps: NDArray[np.int64]  # histogram
    integrals: NDArray[np.void]  # (1,), values times nanoseconds
    step_totals: NDArray[np.void]  # (1,)
    samples: NDArray[np.void]
    counts: NDArray[np.void]  # (1,)


def empty_ledger(window: Window) -> Ledger:
    """Return the ledger before anything is counted."""
    samples = -(-window.end // window.sample_every) if window.sample_every else 0
    return Ledger(
        gaps=np.zeros(GAP_BINS, np.int64),
        integrals=np.zeros(1, _INTEGRALS),
        step_totals=np.zeros(1, STEP_TOTALS),
        samples=np.zeros(samples, _SAMPLE),
        counts=np.zeros(1, _LEDGER_COUNTS),
    )


class Sums:
    """The integrals and step totals of all chapters that have ended, in integers of any size."""

    def __init__(self) -> None:
        self.integrals: dict[str, int] = dict.fromkeys(_INTEGRALS.names or (), 0)
        self._step_totals: dict[str, int] = dict.fromkeys(StepTotals._fields, 0)

    @property
    def step_totals(self) -> StepTotals:
        """The contents of the steps, summed up."""
        return StepTotals(**self._step_totals)

    def take(self, ledger: Ledger) -> None:
        """Move the integrals and the step totals of a chapter from the ledger to these sums."""
        for name, high_and_low in zip(self.integrals, ledger.integrals[0].item(), strict=True):
            self.integrals[name] += as_integer(*high_and_low)
        for name, total in zip(self._step_totals, ledger.step_totals[0].item(), strict=True):
            self._step_totals[name] += total
        ledger.integrals[:] = ledger.step_totals[:] = 0


@inlined
def note_gap(ledger, gap, decodes):
    """Count a gap of this length for as many decodes; a negative number subtracts it."""
    ledger.gaps[bin_of(gap)] += decodes
    add_product(ledger.integrals[0].gap_sum, decodes, gap)


@inlined
def note_step(ledger, window, contents, context, waiting):
    """Add the contents of a step to the totals, if the window asks for them."""
    if window.step_totals:
        _add_step(ledger.step_totals[0], contents, context, waiting)


@inlined
def add_time(integrals, time, running, waiting, adapters, kv_blocks):
    """Add `time` nanoseconds, in which the other numbers do not change, to the integrals."""
    if is_short(time):
        integrals.running_time.low += running * time
        integrals.waiting_time.low += waiting * time
        integrals.adapter_time.low += adapters * time
        integrals.kv_time.low += kv_blocks * time
        integrals.busy_time.low += time
    else:
        add_product(integrals.running_time, running, time)
        add_product(integrals.waiting_time, waiting, time)
        add_product(integrals.adapter_time, adapters, time)
        add_product(integrals.kv_time, kv_blocks, time)
        add_product(integrals.busy_time, 1, time)


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
