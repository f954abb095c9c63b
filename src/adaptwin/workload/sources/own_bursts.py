"""Own bursts: adapters whose requests come when those of the others do not, which shared rates would even out."""

from typing import NamedTuple

import numpy as np

from adaptwin.workload.sources.recording import Recording

PARTS = 12  # of the recording, of the same length
TOO_FEW = 50  # of an adapter say nothing about its bursts
LEAST_EXCESS = 1.5  # times the requests that the shared rates give, and that the adapter has on average
SURE = 6.0  # standard deviations


class OwnBurst(NamedTuple):
    """The busiest part of an adapter, beside what rates that all adapters share make of it."""

    adapter: int  # its index
    factor: float  # requests in that part, as a multiple of its own mean
    shared: float  # the same of all adapters together
    seconds: float  # of the part
    number: int  # adapters that have such a burst


def strongest_own_burst(recording: Recording) -> OwnBurst | None:
    """Return the burst with the most requests beyond the shared rates; None if no adapter has one.

    `recording` must name the adapter of each request.
    """
    assert recording.adapter is not None
    seconds = recording.duration / PARTS
    part = np.minimum((recording.time / seconds).astype(np.int64), PARTS - 1)
    adapters = int(recording.adapter.max()) + 1
    counts = np.bincount(recording.adapter * PARTS + part, minlength=adapters * PARTS).reshape(adapters, PARTS)
    own, shares = counts.sum(axis=1, keepdims=True), counts.sum(axis=0) / counts.sum()
    expected = own * shares
    excess = counts - expected
    usual = np.maximum(expected, own / PARTS)
    is_burst = (own >= TOO_FEW) & (counts > LEAST_EXCESS * usual) & (excess > SURE * np.sqrt(expected + 1.0))
    if not is_burst.any():
        return None
    adapter, place = np.unravel_index(int(np.where(is_burst, excess, 0.0).argmax()), excess.shape)
    return OwnBurst(
        int(adapter),
        float(counts[adapter, place] / (own[adapter, 0] / PARTS)),
        float(shares[place] * PARTS),
        seconds,
        int(is_burst.any(axis=1).sum()),
    )
